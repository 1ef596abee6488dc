"""The fields of codecs' headers in words, so that people see in what two headers differ.

The parts that encoders of whole films vary are read, in the order of the standards, up to where a field needs others
that are not read here. What differs behind that is not named.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256

from helios.media.av1_fields import sequence_header
from helios.media.bits import Bits
from helios.media.decoder_headers import header_units
from helios.media.ffv1_header import configuration
from helios.media.hevc_fields import hevc_pps, hevc_sps, hevc_vps

Fields = Iterator[tuple[str, object]]
"""Names of fields, and their values; `True` and `False` for what is on or off."""
HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Of H.264, with formats other than 4:2:0 in 8 bits (7.3.2.1.1)."""
SAR_GIVEN = 255
"""`aspect_ratio_idc` that stands for a ratio of its own (table E-1)."""


def header_differences(codec: str, mine: bytes, its: bytes) -> list[str]:
    """Name in words in what the headers of two tracks differ: `PPS: initial QP 20 instead of 26`.

    Args:
        codec: FFmpeg's name, of both.
        mine: The headers of one, as the container keeps them.
        its: Of the other.
    """
    form, own = header_units(codec, mine)
    other_form, others = header_units(codec, its)
    named = [f"{form} instead of {other_form}"] if form != other_form else []
    for kind in dict.fromkeys(name for name, _ in (*own, *others)):
        ones, twos = ([data for name, data in units if name == kind] for units in (own, others))
        if len(ones) != len(twos):
            named.append(f"{len(ones)} × {kind} instead of {len(twos)}")
            continue
        for one, two in zip(ones, twos, strict=True):
            if one != two:
                named.append(f"{kind}: {', '.join(_differing(codec, kind, one, two))}")
    return named


def _differing(codec: str, kind: str, one: bytes, two: bytes) -> list[str]:
    mine, its = (dict(_fields(codec, kind, data)) for data in (one, two))
    found = [
        f"{name} {_word(mine.get(name))} instead of {_word(its.get(name))}"
        for name in dict.fromkeys((*mine, *its))
        if mine.get(name) != its.get(name)
    ]
    digests = " instead of ".join(sha256(data).hexdigest()[:8] for data in (one, two))
    return found or [f"fields that are not named here ({digests})"]


def _fields(codec: str, kind: str, data: bytes) -> Fields:
    """The fields of a header, as far as they can be read."""
    reader = READERS.get((codec, kind))
    if reader is None:
        return
    try:
        yield from reader(data)
    except IndexError:
        return  # cut off


def _word(value: object) -> str:
    if value is None:
        return "none"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _h264_sps(data: bytes) -> Fields:
    """Of a sequence parameter set (ITU-T H.264, 7.3.2.1.1)."""
    bits = Bits(data[1:], escaped=True)
    profile = bits.number(8)
    yield "profile", profile
    yield "profile's constraints", f"{bits.number(8):08b}"
    yield "level", bits.number(8) / 10
    yield "number", bits.unsigned()
    if profile in HIGH_PROFILES:
        chroma = bits.unsigned()
        yield "chroma format", chroma
        if chroma == 3:
            yield "separate color planes", bits.flag()
        yield "bits of luma", bits.unsigned() + 8
        yield "bits of chroma", bits.unsigned() + 8
        yield "lossless", bits.flag()
        yield "scaling matrix", (has_matrix := bits.flag())
        if has_matrix:
            yield "scaling lists", _scaling_lists(bits, 12 if chroma == 3 else 8)
    yield "bits of the frame number", bits.unsigned() + 4
    order = bits.unsigned()
    yield "kind of picture order", order
    if order == 0:
        yield "bits of the picture order", bits.unsigned() + 4
    elif order == 1:
        yield "picture order", (bits.flag(), *(bits.signed() for _ in range(2)),
                                *(bits.signed() for _ in range(bits.unsigned())))  # fmt: skip
    yield "reference frames", bits.unsigned()
    yield "gaps in frame numbers", bits.flag()
    yield "width in macroblocks", bits.unsigned() + 1
    yield "height in macroblocks", bits.unsigned() + 1
    yield "progressive frames only", (is_progressive := bits.flag())
    if not is_progressive:
        yield "adaptive fields", bits.flag()
    yield "direct 8x8 inference", bits.flag()
    yield "cropping", [bits.unsigned() for _ in range(4)] if bits.flag() else "none"
    if bits.flag():
        yield from _h264_usability(bits)


def _h264_usability(bits: Bits) -> Fields:
    """Of the video usability information (E.1.1), up to the buffers of a hypothetical decoder."""
    if bits.flag():
        kind = bits.number(8)
        yield "pixel aspect", (bits.number(16), bits.number(16)) if kind == SAR_GIVEN else kind
    if bits.flag():
        yield "overscan", bits.flag()
    if bits.flag():
        yield "video format", bits.number(3)
        yield "full range", bits.flag()
        if bits.flag():
            yield "color primaries", bits.number(8)
            yield "transfer characteristic", bits.number(8)
            yield "color matrix", bits.number(8)
    if bits.flag():
        yield "place of chroma samples", (bits.unsigned(), bits.unsigned())
    if bits.flag():
        ticks, scale = bits.number(32), bits.number(32)
        yield "rate", f"{scale}/{2 * ticks} fps"
        yield "fixed rate", bits.flag()
    nal, vcl = bits.flag(), False
    if nal:
        yield "buffer (HRD)", "NAL"
    else:
        vcl = bits.flag()
    if nal or vcl:
        return
    yield "structure of pictures in messages", bits.flag()
    if bits.flag():
        yield "motion beyond the picture's edge", bits.flag()
        bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()
        yield "frames shown later than decoded", bits.unsigned()
        yield "frames that a decoder keeps", bits.unsigned()


def _h264_pps(data: bytes) -> Fields:
    """Of a picture parameter set (ITU-T H.264, 7.3.2.2)."""
    bits = Bits(data[1:], escaped=True)
    yield "number", bits.unsigned()
    yield "number of its SPS", bits.unsigned()
    yield "entropy coder", "CABAC" if bits.flag() else "CAVLC"
    yield "picture order of fields", bits.flag()
    if bits.unsigned():
        return  # slice groups, which no encoder of films writes
    yield "reference pictures in list 0", bits.unsigned() + 1
    yield "reference pictures in list 1", bits.unsigned() + 1
    yield "weighted prediction of P frames", bits.flag()
    yield "weighted prediction of B frames", ("off", "explicit", "implicit", "reserved")[bits.number(2)]
    yield "initial QP", bits.signed() + 26
    yield "initial QP of switching slices", bits.signed() + 26
    yield "QP offset of chroma", bits.signed()
    yield "deblocking filter set per slice", bits.flag()
    yield "constrained intra prediction", bits.flag()
    yield "redundant pictures", bits.flag()
    if bits.has_more:
        yield "8x8 transform", bits.flag()
        yield "scaling matrix", (has_matrix := bits.flag())
        if not has_matrix:
            yield "QP offset of the second chroma plane", bits.signed()


def _scaling_lists(bits: Bits, count: int) -> list[int]:
    """The numbers of scaling lists (7.3.2.1.1.1)."""
    numbers = []
    for place in range(count):
        if not bits.flag():
            continue
        following = 8
        for _ in range(16 if place < 6 else 64):
            if following:
                numbers.append(delta := bits.signed())
                following = (following + delta) % 256
    return numbers


READERS: dict[tuple[str, str], Callable[[bytes], Fields]] = {
    ("h264", "SPS"): _h264_sps,
    ("h264", "PPS"): _h264_pps,
    ("hevc", "VPS"): hevc_vps,
    ("hevc", "SPS"): hevc_sps,
    ("hevc", "PPS"): hevc_pps,
    ("av1", "sequence header"): sequence_header,
    ("ffv1", "configuration"): configuration,
}
"""By codec and kind of header."""
