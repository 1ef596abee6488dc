"""Read a file that another process may write to meanwhile: each byte is given out as it was when it was hashed, or not.

A comparison before the reading, or of times after it, is not enough: who has mapped a file into memory changes it
between the two, and its times stay as they were.
"""

import errno
import hashlib
import io
from typing import BinaryIO, Protocol

KEPT_BYTES = 16 * 1024 * 1024
"""A file up to this size is read once, and kept in memory: at most two files at a time are open in a join."""
BLOCK_BYTES = 256 * 1024
"""Of a larger file, each block of this size is compared with its own digest when it is read again."""


class ChangedMeanwhileError(OSError):
    """A block is not what it was."""


class Reader(Protocol):
    """What is needed of an open file."""

    def read(self, size: int = -1, /) -> bytes: ...  # noqa: D102

    def seek(self, offset: int, whence: int = 0, /) -> int: ...  # noqa: D102

    def tell(self) -> int: ...  # noqa: D102


class CheckedReader:
    """An open file's bytes, as they were when this was made.

    Args:
        file: An open file; it stays open, and belongs to this object meanwhile.

    Raises:
        OSError: It can't be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._kept: bytes | None = None
        self._digests: list[bytes] = []
        self._block = (-1, b"")
        self._position = 0
        digest, blocks = hashlib.sha256(), list[bytes]()
        self.size = 0
        """Bytes."""
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            self.size += len(block)
            blocks.append(block)
            if self.size > KEPT_BYTES:
                self._digests += map(_digest, blocks)
                blocks.clear()
        if not self._digests:
            self._kept = b"".join(blocks)
        self.sha256 = digest.hexdigest()
        """Digest of all of them, in hexadecimal."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, or to the end.

        Raises:
            ChangedMeanwhileError: They were changed.
        """
        end = self.size if size < 0 else min(self._position + size, self.size)
        if self._kept is not None:
            data = self._kept[self._position : end]
        else:
            pieces, at = [], self._position
            while at < end:
                number, start = divmod(at, BLOCK_BYTES)
                piece = self._read_block(number)[start : start + end - at]
                pieces.append(piece)
                at += len(piece)
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
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

    def _read_block(self, number: int) -> bytes:
        if self._block[0] != number:
            self._file.seek(number * BLOCK_BYTES)
            block = self._file.read(BLOCK_BYTES)
            if _digest(block) != self._digests[number]:
                raise ChangedMeanwhileError(errno.ESTALE, "it was changed while it was read")
            self._block = (number, block)
        return self._block[1]


def _digest(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=32).digest()
