"""Write the shape of a pixel into a Matroska file: FFmpeg's muxer takes it from a field that PyAV does not set.

Nothing in the file may move. So the track is written with a name that is longer than its own (`with_room`), and the
room is used for the display size afterwards.
"""

import zlib
from fractions import Fraction
from pathlib import Path

from helios.media.ebml import CRC_32, NAME, SEGMENT, TRACKS, VIDEO, VOID, Element, child, element, elements, video_track

DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
PIXEL_WIDTH, PIXEL_HEIGHT = 0xB0, 0xBA
PIXELS, RATIO = 0, 3
"""Units of the display size: pixels, or parts of an aspect ratio (RFC 9559, section 5.1.4.1.28.15)."""
ROOM = 40
"""Bytes; two numbers with a unit take 21 at most, and what fills the rest at least 2."""
HEADER_BYTES = 1 << 20
"""Where a header ends at the latest."""


def with_room(name: str) -> str:
    """A track's name with room for the display size behind it."""
    return name + " " * ROOM


def write_aspect(path: Path, aspect: Fraction, *, name: str) -> None:
    """Write the shape of a pixel and the track's own name into a finished file, whose track has a name with room.

    Args:
        path: The file. It is left alone when it has no such track.
        aspect: Width of a pixel to its height.
        name: The track's own name; may be empty.
    """
    with path.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        segment, tracks = child(header, SEGMENT), child(header, SEGMENT, TRACKS)
        track = video_track(header)
        if segment is None or tracks is None or track is None:
            return
        whole = _entry(track, aspect, name)
        content = bytearray(tracks.data)
        content[track.end - len(track.data) : track.end] = whole
        if (check := child(bytes(content), CRC_32)) is not None:
            content[check.end - 4 : check.end] = zlib.crc32(content[check.end :]).to_bytes(4, "little")
        file.seek(segment.end - len(segment.data) + tracks.end - len(tracks.data))
        file.write(content)


def _entry(track: Element, aspect: Fraction, name: str) -> bytes:
    """The content of the track's entry, in as many bytes as before."""
    kept = b""
    for one in elements(track.data):
        if one.id == VIDEO:
            kept += element(VIDEO, _video(one.data, aspect))
        elif one.id not in {NAME, VOID}:
            kept += track.data[one.start : one.end]
    if name:
        kept += element(NAME, name.encode())
    return kept + element(VOID, bytes(len(track.data) - len(kept) - 2))


def _video(data: bytes, aspect: Fraction) -> bytes:
    size = {one.id: one.number for one in elements(data)}
    width, height, unit = size[PIXEL_WIDTH] * aspect, size[PIXEL_HEIGHT], PIXELS
    if width.denominator != 1:
        ratio = width / height
        width, height, unit = Fraction(ratio.numerator), ratio.denominator, RATIO
    numbers = {DISPLAY_WIDTH: int(width), DISPLAY_HEIGHT: height, DISPLAY_UNIT: unit}
    kept = b"".join(data[one.start : one.end] for one in elements(data) if one.id not in numbers)
    return kept + b"".join(
        element(number, value.to_bytes((value.bit_length() + 7) // 8 or 1)) for number, value in numbers.items()
    )
