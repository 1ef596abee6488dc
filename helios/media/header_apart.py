"""Keep the header of a fragmented MP4 apart from its fragments, as HLS wants it."""

from typing import BinaryIO

from helios.errors import OutputError

WHOLE_BOX = 8
"""Bytes of a box's size and kind."""


class HeaderApart:
    """A file being written whose header is kept apart: everything up to the end of the box `moov`.

    Args:
        rest: Gets what follows.
    """

    def __init__(self, rest: BinaryIO) -> None:
        self.header = bytearray()
        self._rest = rest
        self._is_whole = False

    def write(self, data: bytes) -> int:
        """Take what FFmpeg writes."""
        if self._is_whole:
            return self._rest.write(data)
        self.header += data
        if (end := _end_of(b"moov", self.header)) is not None:
            self._is_whole = True
            self._rest.write(self.header[end:])
            del self.header[end:]
        return len(data)


def _end_of(kind: bytes, data: bytearray) -> int | None:
    """Where an outer box ends; None while it is not whole."""
    at = 0
    while at + WHOLE_BOX <= len(data):
        size, found = int.from_bytes(data[at : at + 4]), data[at + 4 : at + WHOLE_BOX]
        if size < WHOLE_BOX:
            raise OutputError("FFmpeg wrote a box of an unknown size; expected a header of a few hundred bytes")
        at += size
        if found == kind and at <= len(data):
            return at
    return None
