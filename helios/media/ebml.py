"""Matroska's elements (RFC 8794, RFC 9559): read the few that FFmpeg knows and PyAV does not show."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SEGMENT, TRACKS, TRACK, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
TRACK_TYPE, NAME, DEFAULT_DURATION, CODEC_DELAY = 0x83, 0x536E, 0x23E383, 0x56AA
CLUSTER, TIMESTAMP, VOID, CRC_32 = 0x1F43B675, 0xE7, 0xEC, 0xBF
VIDEO_TRACK = 1
"""The value of TRACK_TYPE."""


@dataclass(frozen=True)
class Element:
    """One element of a Matroska file."""

    id: int
    """With its length marker, as the standard writes it: 0x1654AE6B."""
    data: bytes
    """What is inside; in a file that is cut off, what there is of it."""
    start: int
    """Of the element, in the bytes that were searched."""
    end: int
    """The byte after it."""

    @property
    def number(self) -> int:
        """The content as an unsigned number."""
        return int.from_bytes(self.data)

    @property
    def real(self) -> float:
        """The content as a number with a fraction; 0 when it is none."""
        kind = {4: ">f", 8: ">d"}.get(len(self.data))
        return float(struct.unpack(kind, self.data)[0]) if kind else 0.0


def elements(data: bytes) -> Iterator[Element]:
    """The elements that follow each other in `data`; ends at the first that is none."""
    at = 0
    while at < len(data):
        start, first = at, data[at]
        if not first:
            return
        width = 9 - first.bit_length()
        number = int.from_bytes(data[at : at + width])
        at += width
        if at >= len(data) or not data[at]:
            return
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
        at += width
        # All bits set: a length that is not known yet.
        end = len(data) if size == (1 << 7 * width) - 1 else at + size
        yield Element(number, data[at:end], start, end)
        at = end


def child(data: bytes, *path: int) -> Element | None:
    """The first element with each of these ids, one inside the other."""
    found: Element | None = None
    for wanted in path:
        found = next((element for element in elements(data) if element.id == wanted), None)
        if found is None:
            return None
        data = found.data
    return found


def video_track(header: bytes) -> Element | None:
    """The entry of the first video track in the beginning of a Matroska file."""
    tracks = child(header, SEGMENT, TRACKS)
    for track in elements(tracks.data) if tracks else ():
        kind = child(track.data, TRACK_TYPE)
        if track.id == TRACK and kind is not None and kind.number == VIDEO_TRACK:
            return track
    return None


def element(number: int, data: bytes) -> bytes:
    """The bytes of an element."""
    size = len(data)
    width = next(width for width in range(1, 9) if size < (1 << 7 * width) - 1)
    return number.to_bytes((number.bit_length() + 7) // 8) + (size | 1 << 7 * width).to_bytes(width) + data
