"""Digests of files: the SHA-256 by which an output is recorded, and an input file named."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from helios.errors import OutputError
from helios.regular_file import open_regular


class HashedParts:
    """A file's bytes in parts, read once, and hashed on the way.

    Args:
        file: The open file, at its beginning.
        part_bytes: Size of a part, in bytes.
        expected: The digest that all parts together must have; None for any.
    """

    def __init__(self, file: BinaryIO, *, part_bytes: int, expected: str | None = None) -> None:
        self._file = file
        self._part_bytes = part_bytes
        self._expected = expected
        self._digest = hashlib.sha256()
        self.size = 0
        """Bytes so far."""

    def __iter__(self) -> Iterator[bytes]:
        """Give out the parts.

        Raises:
            OutputError: They have not the expected digest. The last part was not given out.
        """
        part = self._file.read(self._part_bytes)
        while part:
            self._digest.update(part)
            self.size += len(part)
            following = self._file.read(self._part_bytes)
            if not following and self._expected not in (None, self.sha256):
                raise OutputError(
                    f"{self._file.name} was changed since it was verified: {self.size} bytes with sha256 "
                    f"{self.sha256[:12]}… instead of {(self._expected or '')[:12]}…. Another process writes to it"
                )
            yield part
            part = following

    @property
    def sha256(self) -> str:
        """Digest of the parts so far, in hexadecimal."""
        return self._digest.hexdigest()


def hash_file(path: Path) -> tuple[str, int]:
    """A file's SHA-256 in hexadecimal, and its size in bytes."""
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
