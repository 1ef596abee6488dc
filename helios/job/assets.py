"""Asset bundles: a job's input files in storage, each uploaded once per content and named by its digest.

`helios.job.attempts` has the layout of the storage.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from helios.bounded import map_bounded
from helios.errors import RequestError
from helios.job.selection import select_files
from helios.models.base import WireModel
from helios.models.paths import OutputPath
from helios.storage.digest import hash_file
from helios.storage.folder import Storage

FOLDER = "assets"
MAX_FILES = 10_000
MAX_BYTES = 10 * 1024**3
FILES_AT_ONCE = 16


class Asset(WireModel):
    """One input file."""

    path: OutputPath
    """Relative to the job directory."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of its content, which names it in storage."""
    bytes: int = Field(ge=0)
    """Size."""
    executable: bool = False
    """Whether it is a program."""

    @property
    def key(self) -> str:
        """Where its content lies, relative to the storage's folder."""
        return f"{FOLDER}/{self.sha256}"


class AssetBundle(WireModel):
    """A job's input files."""

    storage_url: str
    """The folder that the assets' keys are relative to."""
    assets: tuple[Asset, ...] = Field(max_length=MAX_FILES)
    """The files."""

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(asset.bytes for asset in self.assets)


def select_assets(directory: Path, *, patterns: Sequence[str] | None, outputs: Iterable[Path]) -> list[Path]:
    """Find the files of a job that are uploaded; see `helios.job.selection` for which these are.

    Args:
        directory: The job directory.
        patterns: Glob patterns relative to it; `**` spans folders. None for every file but outputs and
            those whose names, or whose folders' names, begin with a dot.
        outputs: What the job writes: never an input.

    Raises:
        RequestError: A pattern finds nothing or leaves the folder, or there is too much.
    """
    files: list[Path] = []
    size = 0
    for name in select_files(directory, patterns=patterns, written=frozenset(map(str, outputs)), field="assets"):
        path = directory / name
        if not path.resolve().is_relative_to(directory):
            raise RequestError(f"The input file {path} lies outside the job directory {directory}; copy it into it")
        files.append(path)
        size += path.stat().st_size
        if len(files) > MAX_FILES or size > MAX_BYTES:
            raise RequestError(
                f"The job directory {directory} holds more than {MAX_FILES} files or {MAX_BYTES // 1024**3} GiB "
                'to be uploaded; name the job\'s input files ("assets": ["scene/**"] in the adapter\'s configuration)'
            )
    return files


async def upload_assets(
    files: Sequence[Path], *, directory: Path, storage: Storage, known: Mapping[str, tuple[str, int]]
) -> AssetBundle:
    """Upload the contents that storage does not have.

    Args:
        files: What is uploaded.
        directory: The job directory.
        storage: Where to.
        known: Digests and sizes of files that were hashed already, by name. Where a file was changed since, workers get
            the content with the digest if storage has it.

    Returns:
        The bundle, to be kept beside the job.

    Raises:
        RequestError: A file can't be read, or changed meanwhile.
    """

    async def upload(path: Path) -> Asset:
        name = path.relative_to(directory).as_posix()
        try:
            digest, size = known[name] if name in known else await asyncio.to_thread(hash_file, path)
        except OSError as exc:
            raise RequestError(f"The input file {path} can't be read: {exc.strerror}") from None
        asset = Asset(
            path=name,
            sha256=digest,
            bytes=size,
            executable=os.access(path, os.X_OK),
        )
        if await storage.size(asset.key) != size:
            stored = await storage.upload(path, asset.key)
            if stored.sha256 != digest:
                await storage.delete(asset.key)
                raise RequestError(f"The input file {path} changed while it was uploaded; run the job again")
        return asset

    return AssetBundle(storage_url=storage.url, assets=tuple(await map_bounded(upload, files, limit=FILES_AT_ONCE)))
