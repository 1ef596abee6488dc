"""Asset bundles: a job's input files in storage, each uploaded once per content and named by its digest.

`helios.job.attempts` has the layout of the storage.
"""

import asyncio
import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import Field

from helios.bounded import map_bounded
from helios.bounded_json import MAX_INTEGER
from helios.errors import RequestError
from helios.job.folder_walk import CACHE, Seen
from helios.job.selection import select_files
from helios.models.base import WireModel
from helios.models.paths import OutputPath
from helios.storage.digest import hash_file
from helios.storage.folder import Storage
from helios.web_urls import MAX_URL

FOLDER = "assets"
MAX_FILES = 10_000
MAX_BYTES = 10 * 1024**3
FILES_AT_ONCE = 16
SHOWN_LINES = 5
"""Lines about what is not uploaded."""


PLACEHOLDER = ".helios-folder"
"""Name of an empty file that stands in a bundle for a folder without files. Workers make the folder alone; those of
earlier versions, which know files only, make the file too."""


class Asset(WireModel):
    """One input file."""

    path: OutputPath
    """Relative to the job directory."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of its content, which names it in storage."""
    bytes: int = Field(ge=0, le=MAX_INTEGER)
    """Size."""
    executable: bool = False
    """Whether it is a program."""

    @property
    def key(self) -> str:
        """Where its content lies, relative to the storage's folder."""
        return f"{FOLDER}/{self.sha256}"


_LIST = re.compile(r"/assets-([0-9a-f]{64})\.json$")


def list_name(data: bytes) -> str:
    """The name of a run's list of input files, by its content, so that a worker which has it need not ask again."""
    return f"assets-{hashlib.sha256(data).hexdigest()}.json"


def list_digest(url: str) -> str | None:
    """The SHA-256 in the URL of a list; None where another program has named it."""
    found = _LIST.search(url)
    return found and found[1]


class AssetBundle(WireModel):
    """A job's input files."""

    storage_url: str = Field(max_length=MAX_URL)
    """The folder that the assets' keys are relative to."""
    assets: tuple[Asset, ...] = Field(max_length=MAX_FILES, fail_fast=True)
    """The files."""

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(asset.bytes for asset in self.assets)


@dataclass(frozen=True)
class Selection:
    """What is uploaded of a job directory."""

    files: list[Path]
    """Files, by the names that commands read."""
    folders: list[str]
    """Folders without such files: they are to exist on the worker too. Relative to the job directory."""
    left_out: list[str]
    """What is left out, a line for each reason."""


def select_assets(
    directory: Path, *, patterns: Sequence[str] | None, outputs: Iterable[Path], source: str | None = None
) -> Selection:
    """Find the files of a job that are uploaded; see `helios.job.selection` for which these are.

    Args:
        directory: The job directory.
        patterns: Glob patterns relative to it; `**` spans folders. None for every file but outputs and
            those whose names, or whose folders' names, begin with a dot.
        outputs: What the job writes: never an input.
        source: A file that is uploaded also where no pattern names it, whatever its size, and where it is a link that
            leads out of the folder: the name of the video that the job encodes.

    Raises:
        RequestError: A pattern finds nothing or leaves the folder, a link leads out of it, or there is too much.
    """
    files: list[Path] = []
    size, seen, filled = 0, Seen(), {""}
    written = frozenset(map(str, outputs))
    for name in select_files(directory, patterns=patterns, written=written, field="assets", seen=seen):
        path = directory / name
        if name == source:
            continue
        if not path.resolve().is_relative_to(directory):
            raise _leads_out(directory, name, str(path.resolve()))
        _check_name(path, name)
        files.append(path)
        size += path.stat().st_size
        filled.update(folder.as_posix() for folder in PurePosixPath(name).parents)
        if len(files) > MAX_FILES or size > MAX_BYTES:
            raise _too_much(directory)
    for name, place in seen.outside.items():
        if name != source:
            raise _leads_out(directory, name, place)
    if source is not None:
        files.append(directory / source)
        filled.update(folder.as_posix() for folder in PurePosixPath(source).parents)
    empty = sorted(seen.folders - filled - {"."})
    empty = [name for name in empty if not _has_one_below(name, empty)]
    if len(files) + len(empty) > MAX_FILES:
        raise _too_much(directory)
    return Selection(files, empty, _describe(seen))


def _too_much(directory: Path) -> RequestError:
    return RequestError(
        f"The job directory {directory} holds more than {MAX_FILES} files or {MAX_BYTES // 1024**3} GiB "
        'to be uploaded; name the job\'s input files ("assets": ["scene/**"] in the adapter\'s configuration)'
    )


def _leads_out(directory: Path, name: str, place: str) -> RequestError:
    return RequestError(
        f"The input {directory / name} is, or is reached by, a link that leads out of the job directory, to {place}: "
        "workers elsewhere would not have what lies there; put a copy in its place, or name the job's input files "
        '("assets": ["scene/**"] in the adapter\'s configuration)'
    )


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RequestError(
            f"The name of the input file {str(path)!r} is not UTF-8, and can't be sent to workers; rename the file"
        ) from None


def _has_one_below(name: str, folders: Sequence[str]) -> bool:
    """Whether a later folder of a sorted list lies in a folder, and so makes it too."""
    place = bisect_right(folders, f"{name}/")
    return place < len(folders) and folders[place].startswith(f"{name}/")


def _describe(seen: Seen) -> list[str]:
    lines = []
    if hidden := list(seen.hidden):
        lines.append(
            f"Not uploaded, because of a name that begins with a dot, or {CACHE}: {shorten(hidden)}. What commands "
            "read of it can be named (assets)"
        )
    lines += [f"Not uploaded: {name or 'the job directory'}: {reason}" for name, reason in seen.unusable.items()]
    return lines[: SHOWN_LINES + 1]


def shorten(names: Sequence[str], *, shown: int = 5) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


async def upload_assets(
    selection: Selection, *, directory: Path, storage: Storage, known: Mapping[str, tuple[str, int]]
) -> AssetBundle:
    """Upload the contents that storage does not have.

    Args:
        selection: What is uploaded.
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
                raise RequestError(
                    f"The input file {path} changed while it was uploaded; run the job again, or, if no command reads "
                    'it, name the files that they read ("inputs" in the job document)'
                )
        return asset

    assets = await map_bounded(upload, selection.files, limit=FILES_AT_ONCE)
    if selection.folders:
        nothing = hashlib.sha256(b"").hexdigest()
        await storage.write(f"{FOLDER}/{nothing}", b"")
        assets = [
            *assets,
            *(Asset(path=f"{name}/{PLACEHOLDER}", sha256=nothing, bytes=0) for name in selection.folders),
        ]
    return AssetBundle(storage_url=storage.url, assets=tuple(assets))
