"""Digests of files: the SHA-256 by which an output is recorded, and an input file named."""

import hashlib
from pathlib import Path


def hash_file(path: Path) -> tuple[str, int]:
    """A file's SHA-256 in hexadecimal, and its size in bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def hash_bytes(data: bytes) -> tuple[str, int]:
    """The SHA-256 of a content in hexadecimal, and its size in bytes."""
    return hashlib.sha256(data).hexdigest(), len(data)
