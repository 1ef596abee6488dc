"""Tell whether a stream holds its pictures, or its sound, exactly as its encoder got them."""

from __future__ import annotations

from collections.abc import Iterator

from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext

HIGH_444_PREDICTIVE = 244
"""The profile of H.264 that lossless streams have, and lossy ones of 4:4:4 (Rec. ITU-T H.264, A.2.7)."""
SPS = 7
"""The type of a sequence parameter set (Rec. ITU-T H.264, table 7-1)."""


def is_lossless(decoder: VideoCodecContext | AudioCodecContext) -> bool:
    """Whether what a decoder gives is what the encoder was given.

    Codecs that know nothing else are (FFV1, PNG, raw video, PCM, FLAC), and H.264 as x264 writes it with qp 0. Lossless
    H.265, VP9 and AV1 are not recognised: they count as lossy.
    """
    codec = decoder.codec
    if codec.canonical_name == "h264":
        return _bypasses_transform(decoder.extradata or b"")
    return codec.lossless and not codec.lossy


def _bypasses_transform(headers: bytes) -> bool:
    """Whether a stream's parameters say `qpprime_y_zero_transform_bypass_flag` (Rec. ITU-T H.264, 7.3.2.1.1)."""
    sps = _first_sps(headers)
    if len(sps) < 6 or sps[0] != HIGH_444_PREDICTIVE:
        return False
    bits = iter(f"{int.from_bytes(sps[3:11]):0{8 * len(sps[3:11])}b}")
    try:
        _number(bits)  # seq_parameter_set_id
        if _number(bits) == 3:  # chroma_format_idc
            next(bits)  # separate_colour_plane_flag
        _number(bits), _number(bits)  # bit_depth_luma_minus8, bit_depth_chroma_minus8
        return next(bits) == "1"
    except StopIteration:
        return False


def _first_sps(headers: bytes) -> bytes:
    """A sequence parameter set without its first byte: of an MP4's headers (ISO/IEC 14496-15, 5.3.3), or of others."""
    if headers[:1] == b"\x01":
        return headers[9:]
    for unit in headers.split(b"\0\0\1"):
        if unit and unit[0] & 31 == SPS:
            return unit[1:]
    return b""


def _number(bits: Iterator[str]) -> int:
    """Read an Exp-Golomb number (Rec. ITU-T H.264, 9.1)."""
    zeros = 0
    while next(bits) == "0":
        zeros += 1
    return int("1" + "".join(next(bits) for _ in range(zeros)), 2) - 1
