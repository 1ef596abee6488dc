"""Read a file that another process may write to meanwhile: each byte is given out as it was when it was hashed, or not.

A comparison before the reading, or of times after it, is not enough: who has mapped a file into memory changes it
between the two, and its times stay as they were.
"""

import errno
import hashlib
from typing import BinaryIO, Protocol

from helios.media.blocks import BlockedFile

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


class CheckedReader(BlockedFile):
    """An open file's bytes, as they were when this was made.

    Args:
        file: An open file; it stays open, and belongs to this object meanwhile.

    Raises:
        OSError: It can't be read. Reading raises a `ChangedMeanwhileError` where a block was changed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.block_bytes = file, BLOCK_BYTES
        self._kept: bytes | None = None
        self._digests: list[bytes] = []
        self._block = (-1, b"")
        digest, blocks = hashlib.sha256(), list[bytes]()
        self.size = 0
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

    def _between(self, at: int, end: int) -> bytes:
        return super()._between(at, end) if self._kept is None else self._kept[at:end]

    def _read_block(self, number: int) -> bytes:
        if self._block[0] != number:
            self._file.seek(number * self.block_bytes)
            block = self._file.read(self.block_bytes)
            if _digest(block) != self._digests[number]:
                raise ChangedMeanwhileError(errno.ESTALE, "it was changed while it was read")
            self._block = (number, block)
        return self._block[1]


def _digest(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=32).digest()
