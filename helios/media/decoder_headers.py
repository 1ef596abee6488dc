"""What a decoder gets once for a whole track, and so must be the same in all chunks.

Containers keep more than that beside it: encoders' names and options, levels, sizes of buffers. docs/jobs.md has the
table of what must agree in each codec.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

SELF_DESCRIBING = {"vp8", "vp9", "prores", "dnxhd", "mjpeg", "png", "mpeg1video", "mpeg2video", "rawvideo", "v210"}
"""Codecs with all that a decoder needs in each key frame; their size, profile and pixel format are compared anyway."""
H264_SETS = {7: "SPS", 8: "PPS", 13: "SPS extension", 15: "subset SPS"}
"""Kinds of NAL units (ITU-T H.264, table 7-1)."""
HEVC_SETS = {32: "VPS", 33: "SPS", 34: "PPS"}
"""Likewise (ITU-T H.265, table 7-1)."""
START_CODE = b"\0\0\1"
SEQUENCE_HEADER = 1
"""Kind of an AV1 OBU (section 6.2.2 of its specification)."""
USER_DATA = 0xB2
"""Start code of what an MPEG-4 encoder says about itself (ISO 14496-2, table 6-3)."""


def decoder_headers(codec: str, extradata: bytes) -> str:
    """Name and digest each header that a decoder of this track relies on; the same words mean the same headers.

    Args:
        codec: FFmpeg's name.
        extradata: The track's headers, as the container keeps them.
    """
    form, units = header_units(codec, extradata)
    named = dict.fromkeys(f"{name} {sha256(data).hexdigest()[:8]}" for name, data in units)
    return ", ".join([*([form] if form else []), *named]) or "none"


def header_units(codec: str, extradata: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Take the headers of a track apart.

    Args:
        codec: FFmpeg's name.
        extradata: The track's headers, as the container keeps them.

    Returns:
        How a packet's units are separated, empty where there are none; and each header that a decoder relies on, with
        the name of its kind.
    """
    if codec in SELF_DESCRIBING or not extradata:
        return "", []
    try:
        match codec:
            case "h264":
                return _h264(extradata)
            case "hevc":
                return _hevc(extradata)
            case "av1":
                return "", [("sequence header", unit) for kind, unit in _obus(extradata) if kind == SEQUENCE_HEADER]
            case "mpeg4":
                return "", [("header", unit) for unit in _start_codes(extradata) if unit[0] != USER_DATA]
            case "ffv1":
                return "", [("configuration", extradata)]
    except IndexError:
        pass  # cut off: compared as a whole
    return "", [("digest", extradata)]


def _h264(data: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Of an AVCDecoderConfigurationRecord (ISO 14496-15, section 5.3.3.1), or a byte stream."""
    if data[0] != 1:
        return "byte stream", _sets(_start_codes(data), lambda unit: H264_SETS.get(unit[0] & 31))
    units, at = [], 5
    for mask in (31, 255):
        count, at = data[at] & mask, at + 1
        for _ in range(count):
            unit, at = _sized(data, at)
            units.append(unit)
    return f"lengths of {(data[4] & 3) + 1} bytes", _sets(units, lambda unit: H264_SETS.get(unit[0] & 31))


def _hevc(data: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Of an HEVCDecoderConfigurationRecord (ISO 14496-15, section 8.3.3.1), or a byte stream."""
    if data[0] != 1:
        return "byte stream", _sets(_start_codes(data), lambda unit: HEVC_SETS.get(unit[0] >> 1 & 63))
    units, at = [], 23
    for _ in range(data[22]):
        count, at = int.from_bytes(data[at + 1 : at + 3]), at + 3
        for _ in range(count):
            unit, at = _sized(data, at)
            units.append(unit)
    return f"lengths of {(data[21] & 3) + 1} bytes", _sets(units, lambda unit: HEVC_SETS.get(unit[0] >> 1 & 63))


def _sets(units: Iterable[bytes], name: Callable[[bytes], str | None]) -> list[tuple[str, bytes]]:
    """The parameter sets among NAL units; zeros at the end of a unit are no part of it."""
    return [(kind, unit.rstrip(b"\0")) for unit in units if (kind := name(unit)) is not None]


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    """A unit after its length in 2 bytes, and where the next one is."""
    end = at + 2 + int.from_bytes(data[at : at + 2])
    if end > len(data) or end == at + 2:
        raise IndexError
    return data[at + 2 : end], end


def _start_codes(data: bytes) -> Iterator[bytes]:
    """What stands between start codes."""
    yield from (unit for unit in data.split(START_CODE)[1:] if unit)


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and contents of the OBUs of an AV1CodecConfigurationRecord, which begins with 4 bytes of its own."""
    at = 4
    while at < len(data):
        first = data[at]
        at += 2 if first & 4 else 1
        size, shift = len(data) - at, 0
        if first & 2:
            size = 0
            while True:
                byte, at = data[at], at + 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield first >> 3 & 15, data[at : at + size]
        at += size
