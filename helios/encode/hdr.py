"""HDR10: what a source says about the display that it was mastered on, in the words of each encoder and of Matroska."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame

from helios.encode.codecs import EncodeCodec
from helios.media.ebml import element
from helios.media.stream_facts import MASTERING, MAX_CLL, MAX_FALL, StreamFacts

FIRST_NUMBER = 0x55D1
"""Matroska's red x; the other nine numbers follow it."""
RATIONALS = 10
CHROMA_UNITS, LUMINANCE_UNITS = 50_000, 10_000
"""In which x264 and x265 count (ITU-T H.265, D.3.28)."""


@dataclass(frozen=True)
class Hdr10:
    """Static HDR metadata."""

    mastering: tuple[float, ...] = ()
    """As `StreamFacts.mastering_display`: red, green, blue, white as x and y, then the largest and the smallest
    luminance in cd/m²."""
    light: tuple[int, int] = (0, 0)
    """As `StreamFacts.light_level`."""

    @classmethod
    def of(cls, facts: StreamFacts, first: VideoFrame) -> Hdr10:
        """What the container says; else what stands beside the first picture."""
        beside = _beside(first)
        mastering, light = facts.mastering_display, facts.light_level
        if not mastering and (found := beside.get(Type.MASTERING_DISPLAY_METADATA)):
            mastering = _mastering(found)
        if light == (0, 0) and (found := beside.get(Type.CONTENT_LIGHT_LEVEL)):
            light = struct.unpack_from("=2I", found)
        return cls(mastering, light)

    def settings(self, codec: EncodeCodec) -> dict[str, str]:
        """The encoder's own settings that put it into the stream."""
        if codec.mastering is None:
            return {}
        is_whole = codec.encoder != "libsvtav1"
        found = {}
        if self.mastering:
            scale = [CHROMA_UNITS if is_whole else 1] * 8 + [LUMINANCE_UNITS if is_whole else 1] * 2
            numbers = [
                str(round(value * unit)) if is_whole else f"{value:.5f}"
                for value, unit in zip(self.mastering, scale, strict=True)
            ]
            pairs = (f"({one},{two})" for one, two in zip(numbers[::2], numbers[1::2], strict=True))
            red, green, blue, white, light = pairs
            found[codec.mastering[0]] = f"G{green}B{blue}R{red}WP{white}L{light}"
        if self.light != (0, 0):
            found[codec.mastering[1]] = f"{self.light[0]},{self.light[1]}"
        return found

    def elements(self) -> bytes:
        """The elements of Matroska's Colour that say it."""
        found = b""
        if self.light != (0, 0):
            found += element(MAX_CLL, self.light[0].to_bytes(4)) + element(MAX_FALL, self.light[1].to_bytes(4))
        if self.mastering:
            numbers = (element(FIRST_NUMBER + at, struct.pack(">d", one)) for at, one in enumerate(self.mastering))
            found += element(MASTERING, b"".join(numbers))
        return found


def _beside(frame: VideoFrame) -> dict[Type, bytes]:
    """What stands beside a picture; nothing where PyAV does not know all of it, such as a camera's EXIF."""
    try:
        return {data.type: bytes(data) for data in cast("list[SideData]", list(frame.side_data))}
    except ValueError:
        return {}


def _mastering(data: bytes) -> tuple[float, ...]:
    """Of FFmpeg's AVMasteringDisplayMetadata: ten fractions, the smallest luminance before the largest, two flags."""
    numbers = struct.unpack_from(f"={2 * RATIONALS + 2}i", data)
    if not (numbers[-2] and numbers[-1]):
        return ()
    values = [top / (bottom or 1) for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    return (*values[:8], values[9], values[8])
