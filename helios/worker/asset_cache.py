"""Input files that a worker keeps between chunks, named by their digest."""

import asyncio
import os
import posixpath
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from helios.bounded import map_bounded
from helios.errors import RequestError, WorkerUnavailableError
from helios.job.assets import PLACEHOLDER, Asset, AssetBundle
from helios.models.paths import check_relative_path
from helios.models.worker import Artifact
from helios.storage.by_url import storage_root
from helios.storage.folder import Storage
from helios.worker.block_reader import BlockCache

UNTOUCHED_NS = 315_532_800 * 10**9
"""The time of change of every kept file, 1980-01-01: a file that a command has written to has another time."""
FETCHES_AT_ONCE = 8
LISTS_KEPT = 4
"""Lists of input files that are kept in memory, each of at most 10,000 files: those of the jobs that run now."""


class AssetCache:
    """A folder of input files.

    A workspace gets them as hard links: no second copy on a disk that may have 512 MB. A command that changes
    an input in place spoils the kept file too, which shows in its time of change; it is then fetched anew.

    Args:
        folder: Made when it is needed; on the file system of the workspaces.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.blocks = BlockCache()
        """Parts of files that are not fetched whole."""
        self._lists: dict[str, AssetBundle] = {}
        self._underway: dict[str, asyncio.Task[None]] = {}

    async def listed(self, digest: str | None, fetch: Callable[[], Awaitable[AssetBundle]]) -> AssetBundle:
        """A list of input files: the one that is kept, or what is fetched.

        Args:
            digest: Of its content; None where it is not known, so that the list is not kept.
            fetch: Fetches it.
        """
        if digest is None:
            return await fetch()

        async def keep() -> None:
            bundle = await fetch()
            for oldest in list(self._lists)[: max(0, len(self._lists) - LISTS_KEPT + 1)]:
                del self._lists[oldest]
            self._lists[digest] = bundle

        while (kept := self._lists.get(digest)) is None:
            await self._shared(digest, keep)
        return kept

    async def _shared(self, name: str, fetch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Fetch something once for all chunks that want it now; it is fetched also where one of them is stopped."""
        if (task := self._underway.get(name)) is None:
            task = self._underway[name] = asyncio.create_task(fetch())
            task.add_done_callback(lambda _: self._underway.pop(name))
        await asyncio.shield(task)

    def missing_bytes(self, bundle: AssetBundle) -> int:
        """How much of a bundle is still to be fetched."""
        return sum(asset.bytes for asset in _contents(bundle) if not self._holds(asset))

    def drop_others(self, bundle: AssetBundle | None) -> None:
        """Remove what a bundle does not need; everything, without one."""
        needed = {asset.sha256 for asset in bundle.assets} if bundle else set()
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name.split("-")[0] not in needed:
                path.unlink(missing_ok=True)

    async def place(self, bundle: AssetBundle, target: Path) -> None:
        """Fetch what is missing, and put every file where the job has it.

        Raises:
            WorkerUnavailableError: A file is not there, or arrived damaged.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        storage = storage_root(bundle.storage_url)
        wanted = [asset for asset in _contents(bundle) if not self._holds(asset)]

        async def fetch(asset: Asset) -> None:
            if not self._holds(asset):  # another chunk has fetched it meanwhile
                await self._shared(self._path(asset).name, partial(self._fetch, asset, storage, bundle.storage_url))

        await map_bounded(fetch, wanted, limit=FETCHES_AT_ONCE)
        for asset in bundle.assets:
            path = target / asset.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name == PLACEHOLDER:
                continue
            os.link(self._path(asset), path)

    async def _fetch(self, asset: Asset, storage: Storage, folder_url: str) -> None:
        url = f"{folder_url}/{asset.key}"
        expected = Artifact(url=url, bytes=asset.bytes, sha256=asset.sha256)
        path = self._path(asset)
        path.unlink(missing_ok=True)
        try:
            await storage.download(storage.key_of(url), path, expected=expected)
        except FileNotFoundError:
            raise WorkerUnavailableError(
                f"The input file {asset.path} is not at {url} any more; run the job again, which uploads it"
            ) from None
        path.chmod(0o555 if asset.executable else 0o444)
        os.utime(path, ns=(UNTOUCHED_NS, UNTOUCHED_NS))

    def _holds(self, asset: Asset) -> bool:
        with suppress(OSError):
            found = self._path(asset).stat()
            return found.st_size == asset.bytes and found.st_mtime_ns == UNTOUCHED_NS
        return False

    def _path(self, asset: Asset) -> Path:
        # A file has one mode, whatever it is linked as.
        return self._folder / (f"{asset.sha256}-x" if asset.executable else asset.sha256)


@dataclass(frozen=True)
class InputFolder:
    """Input files of another program in storage: they have no digests, and so are not kept."""

    storage: Storage
    """Where they are."""
    keys: dict[str, str]
    """Path in the workspace to key."""
    bytes: int
    """Size of all of them."""

    async def fetch(self, target: Path) -> None:
        """Fetch every file to where the job has it."""

        async def fetch(path: str) -> None:
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            await self.storage.download(self.keys[path], place)

        await map_bounded(fetch, list(self.keys), limit=FETCHES_AT_ONCE)


async def find_folder(url: str) -> InputFolder:
    """List a folder of input files.

    Raises:
        RequestError: It is not in storage, or is empty, or a name in it is not a valid path.
    """
    storage = storage_root(url)
    folder = storage.key_of(url)
    found = _files([(entry.key, entry.bytes) async for entry in storage.entries(folder)], folder)
    if not found:
        raise RequestError(
            f"There are no input files below {url} (assetsUrl); expected a folder in storage, or a .json list"
        )
    names = {key[len(folder) + 1 :].rstrip("/"): (key, size) for key, size in found}
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    # Consoles and tools of S3 write empty objects with the names of folders.
    files = {name: key for name, (key, size) in names.items() if size or not (name == "" or name in folders)}
    try:
        keys = {check_relative_path(name): key for name, key in files.items()}
    except ValueError as exc:
        raise RequestError(f"A file below {url} can't be an input file: expected {exc}") from None
    return InputFolder(storage, keys, sum(size for _, size in found))


def _files(found: list[tuple[str, int]], folder: str) -> list[tuple[str, int]]:
    """Objects without those that consoles and tools make for folders: empty, and called like a folder."""
    folders = {folder} | {str(parent) for key, _ in found for parent in PurePosixPath(key).parents}
    return [(key, size) for key, size in found if size or not (key.endswith("/") or key in folders)]


def _contents(bundle: AssetBundle) -> Iterable[Asset]:
    """One asset for each different content."""
    return {(asset.sha256, asset.executable): asset for asset in bundle.assets}.values()


def free_bytes(folder: Path) -> int:
    """Free disk where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_tree(paths: Iterable[str], output: str) -> None:
    """Refuse input files that can't all be there: two at one path, or one where another, or the output, needs a folder.

    Args:
        paths: Relative to the job directory.
        output: The file that the command is to write.

    Raises:
        RequestError: Says which.
    """
    files: set[str] = set()
    for path in map(posixpath.normpath, paths):
        if path in files:
            raise RequestError(f"The list of input files has {path!r} twice; expected each file once")
        files.add(path)
    for path in (*files, posixpath.normpath(output)):
        if held := next((one.as_posix() for one in PurePosixPath(path).parents if one.as_posix() in files), None):
            raise RequestError(
                f"The input file {held!r} is where {path!r} needs a folder; rename one of them, or take it out of the "
                "input files"
            )
