"""A file that is read block by block, from wherever its blocks come."""

import io
from abc import ABC, abstractmethod


class BlockedFile(ABC):
    """A file that can be read and sought in; every block but the last has the same size."""

    block_bytes: int
    """Of a block."""
    size: int
    """Bytes of the whole file."""
    _position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, or to the end.

        Raises:
            OSError: A block can't be had.
        """
        end = self.size if size < 0 else min(self._position + size, self.size)
        data = self._between(self._position, end)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place; return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The place of the next byte."""
        return self._position

    def _between(self, at: int, end: int) -> bytes:
        pieces = []
        while at < end:
            number, start = divmod(at, self.block_bytes)
            piece = self._read_block(number)[start : start + end - at]
            pieces.append(piece)
            at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @abstractmethod
    def _read_block(self, number: int) -> bytes:
        """A block, by its number from 0."""
