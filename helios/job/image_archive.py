"""The images of a chunk in one file, as a cache of outputs keeps them: a tar archive, the same one for the same images.

Its members are called by their frames' numbers, so that a job with other names for its images can use it.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from helios.errors import OutputError
from helios.models.images import Known
from helios.regular_file import open_regular
from helios.storage.digest import hash_file

PIECE_BYTES = 1024 * 1024


class PackedImage(NamedTuple):
    """An image to be packed."""

    frame: int
    """Its frame."""
    path: Path
    """The file."""
    known: Known
    """What it was accepted as."""


def pack_images(images: Iterable[PackedImage], archive: Path) -> tuple[str, int]:
    """Write an archive of images. Blocking.

    Args:
        images: In the order of their frames.
        archive: The new file.

    Returns:
        Its SHA-256 in hexadecimal, and its size in bytes.

    Raises:
        OutputError: An image is not what was accepted any more.
        OSError: It can't be written.
    """
    with tarfile.open(archive, "x:", format=tarfile.GNU_FORMAT) as tar:
        for frame, path, (size, digest) in images:
            member = tarfile.TarInfo(str(frame))
            member.size = size
            with open_regular(path) as file:
                hashed = _Hashed(file)
                if os.fstat(file.fileno()).st_size == size:
                    tar.addfile(member, hashed)
            if hashed.digest.hexdigest() != digest:
                raise OutputError(f"{path} was changed since it was accepted")
    return hash_file(archive)


def unpack_images(archive: Path, folder: Path, names: Mapping[int, str]) -> dict[int, Known]:
    """Write the images of an archive into a folder. Blocking.

    Args:
        archive: The file.
        folder: The folder; it has none of the names.
        names: The images' names, by frame: all that the archive is to have.

    Returns:
        What the images are, by frame.

    Raises:
        OutputError: It is no archive of these images.
        OSError: An image can't be written.
    """
    found: dict[int, Known] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                frame = int(member.name) if member.name.isdecimal() else None
                content = tar.extractfile(member) if member.isreg() else None
                if frame is None or frame not in names or frame in found or content is None:
                    raise OutputError(f"{archive.name} holds {member.name[:80]!r}, which is no image of the chunk")
                with (folder / names[frame]).open("xb") as file:
                    hashed = _Hashed(content)
                    while piece := hashed.read(PIECE_BYTES):
                        file.write(piece)
                found[frame] = (member.size, hashed.digest.hexdigest())
    except tarfile.TarError as exc:
        raise OutputError(f"{archive.name} is no whole archive: {exc}") from exc
    if len(found) != len(names):
        raise OutputError(f"{archive.name} holds {len(found)} images; expected {len(names)}")
    return found


class _Hashed(io.RawIOBase):
    """A file that is hashed as it is read.

    Args:
        file: The file, at its beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()
        """Of what was read so far."""

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes."""
        data = self._file.read(size)
        self.digest.update(data)
        return data
