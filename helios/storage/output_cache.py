"""Accepted outputs that many jobs and machines share, by what was ordered: a folder in artifact storage.

CACHE/helios-cache.json        says that the folder is such a cache
CACHE/outputs/KEY-SHA256       the bytes of an output: their digest is in the name
CACHE/entries/KEY.json         a `CacheEntry`; it was last used when it was last written

KEY is `helios.job.content_key`. An entry is written in one step, after its output: what can be found is whole. Two
writers of one key write one output, or two if they differ; the entry of one of them stays, and names its own output.
An entry whose output is missing or has another digest is torn: it is removed when it is read, and counts as a miss.
`helios.storage.cache_upkeep` bounds and verifies a cache. A reader whose entry is removed meanwhile has a miss.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from helios.errors import RequestError
from helios.models.base import WireModel
from helios.models.images import ImageKind
from helios.models.pictures import KnownPictures
from helios.models.quality import KnownQuality
from helios.models.verification import VerifyLevel
from helios.storage.folder import Storage
from helios.storage.local_folder import path_of
from helios.storage.urls import is_storage_url, split_url

MARK = "helios-cache.json"
MARK_TEXT = b'{"cache": "helios-render", "layout": 1}\n'
ENTRIES, OUTPUTS = "entries", "outputs"
MAX_ENTRY_BYTES = 1024 * 1024
"""An entry has some 500 bytes, and 3 kB with pictures."""


class CachedImages(WireModel):
    """What an output is that holds the images of a chunk: an archive (`helios.job.image_archive`)."""

    model_config = ConfigDict(extra="ignore")

    kind: ImageKind
    """What the images are."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The digest of their digests, as an accepted chunk has it."""


class CacheEntry(WireModel):
    """An output in a cache."""

    model_config = ConfigDict(extra="ignore")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Digest of the output, in hexadecimal."""
    bytes: Annotated[int, Field(ge=0)]
    """Size of the output."""
    verified: VerifyLevel
    """How thoroughly it was verified."""
    pictures: KnownPictures = None
    """What was kept of its pictures, where the level is `pictures`."""
    images: CachedImages | None = None
    """What it holds, where it is an archive of images; empty for a video."""
    quality: KnownQuality = None
    """How well it shows its source, where its command said so."""
    render_ms: Annotated[int, Field(ge=0)]
    """Running time of the command that rendered it."""
    adapter: str
    """Name of the adapter that ran it."""
    rendered_by: str | None = None
    """The worker that rendered it, if that is known."""
    run_id: str
    """The flow run that put it here."""


class OutputCache:
    """A cache of outputs.

    Every operation raises a `RequestError` or a `WorkerUnavailableError` where storage does, as `Storage` says.

    Args:
        storage: The cache's folder.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        """The cache's folder."""

    async def open(self) -> None:
        """Make the cache if it does not exist, and try to write there.

        Raises:
            RequestError: It can't be read or written, or the folder is something else's.
        """
        await self.check()
        await self.storage.check_writable(MARK)
        await self.storage.write(MARK, MARK_TEXT, once=True)

    async def check(self) -> bool:
        """Whether the cache exists.

        Raises:
            RequestError: It has a layout of another version.
        """
        found = await self.storage.read(MARK, limit=MAX_ENTRY_BYTES)
        if found not in (None, MARK_TEXT):
            raise RequestError(
                f"{self.storage.url_of(MARK)} is not of a cache that this version knows; "
                f"expected {MARK_TEXT.decode().strip()}. Name another folder (--cache)"
            )
        return found is not None

    async def find(self, key: str) -> CacheEntry | None:
        """The entry of a key; None where there is none. One that can't be read is removed."""
        data = await self.storage.read(entry_key(key), limit=MAX_ENTRY_BYTES)
        if data is None:
            return None
        try:
            return CacheEntry.model_validate_json(data)
        except ValidationError:
            await self.remove(key)
            return None

    async def fetch(self, key: str, entry: CacheEntry, path: Path) -> bool:
        """Copy an output.

        Returns:
            Whether `path` is the output now. If not, the entry was torn and is removed, and there is nothing at `path`.
        """
        try:
            arrived = await self.storage.download(output_key(key, entry.sha256), path, most=entry.bytes)
        except FileNotFoundError:
            await self.remove(key)
            return False
        if (arrived.sha256, arrived.bytes) != (entry.sha256, entry.bytes):
            path.unlink(missing_ok=True)
            await self.remove(key, sha256=entry.sha256)
            return False
        return True

    async def put(self, key: str, entry: CacheEntry, path: Path) -> bool:
        """Keep an output.

        Returns:
            Whether it is kept; not if the file's content is no longer what the entry says.
        """
        stored = await self.storage.upload(path, output_key(key, entry.sha256))
        if (stored.sha256, stored.bytes) != (entry.sha256, entry.bytes):
            await self.storage.delete(output_key(key, entry.sha256))
            return False
        await self.note(key, entry)
        return True

    async def note(self, key: str, entry: CacheEntry) -> None:
        """Note what is known of an output that is here, and that it was used."""
        await self.storage.write(entry_key(key), entry.model_dump_json(exclude_none=True).encode())

    async def remove(self, key: str, *, sha256: str | None = None) -> None:
        """Remove an entry, and its output where the digest is given."""
        await self.storage.delete(entry_key(key))
        if sha256 is not None:
            await self.storage.delete(output_key(key, sha256))


def cache_url(place: str) -> str:
    """The URL of a cache that a person names by its folder or its URL.

    Raises:
        RequestError: It is a file, or no place in artifact storage.
    """
    if "://" in place and not is_storage_url(place):
        raise RequestError(
            f"The cache {place!r} is in no storage that is known; expected a folder, s3://, gs:// or file://"
        )
    if not place.strip():
        raise RequestError("The cache has no name; expected a folder, or a URL: s3://, gs:// or file://")
    url = place if is_storage_url(place) else Path(os.path.abspath(os.path.expanduser(place))).as_uri()
    split_url(url)
    path = path_of(url)
    # The store would make what is missing, and says in its own words that it can't.
    if path is not None and (path.exists() or path.is_symlink()) and not path.is_dir():
        raise RequestError(f"The cache {path} is not a folder; expected a folder, or a name at which one can be made")
    return url


def entry_key(key: str) -> str:
    """Where the entry of a key is, in the cache's folder."""
    return f"{ENTRIES}/{key}.json"


def output_key(key: str, sha256: str) -> str:
    """Where an output of a key is, in the cache's folder."""
    return f"{OUTPUTS}/{key}-{sha256}"
