"""Artifact storage by URL: `file://`, `s3://` and `gs://` with one interface.

Credentials come from the settings, from a provider that the caller hands in (the orchestrator's adapters do),
or from the standard chain of the platform: environment variables, container and instance metadata, Google's
application default credentials.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import obstore

from helios.errors import RequestError, WorkerUnavailableError
from helios.models.worker import Artifact
from helios.storage.exchanges import Exchange, Exchanges
from helios.storage.local_folder import path_of, remove_empty_folders, remove_file
from helios.storage.persistent import persistent
from helios.storage.ranges import RangeReads
from helios.storage.stores import (
    CredentialProvider,
    ObjectExistsError,
    StorageSettings,
    StoredObject,
    check_bucket,
    open_store,
    store_errors,
)
from helios.storage.uploads import TRANSFERS, Uploads
from helios.storage.urls import check_key, is_within, join_url, split_url

AS_IT_COMES = 1
"""Bytes of a download's piece: each is hashed and written when it is there, and a trickle is noticed."""
KEYS_AT_ONCE = 1000
"""Objects that one request deletes: S3's bound."""
CALLS_AT_ONCE = 32
_CALLS = Exchanges(CALLS_AT_ONCE, "storage")
SMALL_BYTES = 64 * 1024 * 1024
"""The most that `read` takes into memory."""


class Storage(RangeReads, Uploads):
    """A folder in artifact storage. Keys are relative to it and can't leave it.

    Every operation raises a `RequestError` where permission or the bucket is missing, and a
    `WorkerUnavailableError` where the server did not answer.

    Args:
        settings: Where it is.
        credentials: Gives temporary credentials; the standard chain when None.
    """

    def __init__(self, settings: StorageSettings, *, credentials: CredentialProvider | None = None) -> None:
        self.settings = settings
        self.url = settings.url
        """The folder's URL."""
        self._credentials = credentials
        self._store = open_store(settings, credentials)

    def at(self, url: str) -> "Storage":
        """Another folder with the same rights."""
        return Storage(self.settings.moved_to(url), credentials=self._credentials)

    def url_of(self, key: str) -> str:
        """The URL of a key."""
        return join_url(self.url, *check_key(key).split("/"))

    def key_of(self, url: str) -> str:
        """The key of a URL.

        Raises:
            RequestError: The URL lies outside this folder.
        """
        if not is_within(url, self.url):
            raise RequestError(f"{url} lies outside {self.url}; expected a place inside it")
        own, key = split_url(self.url)[1], split_url(url)[1]
        return check_key(key[len(own) :].lstrip("/"))

    @persistent
    async def download(
        self, key: str, path: Path, *, expected: Artifact | None = None, most: int | None = None
    ) -> Artifact:
        """Fetch a file; it appears under its name when it is whole and has the expected digest.

        Args:
            key: Its key.
            path: Its name here.
            expected: What it must be; None for anything.
            most: Bytes after which no more is read, so that it is not what the caller expects.

        Raises:
            FileNotFoundError: There is no such key.
            WorkerUnavailableError: What arrived is not what was expected.
        """
        temporary = path.with_name(f".{path.name[-64:]}.{uuid.uuid4().hex[:12]}")
        exchange, most = Exchange(self.url_of(key)), expected.bytes if expected else most

        def get() -> tuple[str, int]:
            try:
                with store_errors("read", self.url_of(key)), temporary.open("wb", buffering=0) as file:
                    return self._receive(key, file.write, exchange, most=most)
            finally:
                if exchange.is_over:  # it may have been made after it was removed
                    remove_file(temporary)

        try:
            digest, size = await TRANSFERS.run(exchange, get)
            arrived = Artifact(url=self.url_of(key), bytes=size, sha256=digest)
            if expected is not None and (size, digest) != (expected.bytes, expected.sha256):
                raise WorkerUnavailableError(
                    f"{arrived.url} arrived with {size} bytes and digest {digest[:12]}; expected "
                    f"{expected.bytes} bytes and {expected.sha256[:12]}: it was damaged, or replaced"
                )
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return arrived

    async def take(self, key: str, path: Path, *, expected: Artifact) -> Artifact:
        """Fetch a file that nobody else wants: as `download`, but it need not be in storage afterwards."""
        return await self.download(key, path, expected=expected)

    @persistent
    async def digest(self, key: str) -> tuple[str, int]:
        """An object's SHA-256 in hexadecimal, and its size in bytes, by reading all of it.

        Raises:
            FileNotFoundError: There is no such key.
        """
        exchange = Exchange(self.url_of(key))
        return await TRANSFERS.run(exchange, partial(self._receive, key, len, exchange))

    def _receive(
        self, key: str, take: Callable[[Any], int], exchange: Exchange, *, most: int | None = None
    ) -> tuple[str, int]:
        """Read an object piece by piece, until it has `most` bytes; its digest and size. `take` returns a length."""
        digest = hashlib.sha256()
        with store_errors("read", self.url_of(key)):
            for piece in obstore.get(self._store, check_key(key)).stream(min_chunk_size=AS_IT_COMES):
                if exchange.is_over or (most is not None and exchange.bytes > most):
                    break
                digest.update(piece)
                exchange.bytes += take(piece)
        return digest.hexdigest(), exchange.bytes

    @persistent
    async def read(self, key: str, *, limit: int = SMALL_BYTES) -> bytes | None:
        """A small object's content; None where there is none.

        Raises:
            RequestError: It has more than `limit` bytes.
        """
        exchange = Exchange(self.url_of(key))

        def get() -> bytes | None:
            with store_errors("read", self.url_of(key)):
                try:
                    answer = obstore.get(self._store, check_key(key))
                except FileNotFoundError as exc:
                    check_bucket(exc, self.url)
                    return None
                if answer.meta["size"] > limit:
                    raise RequestError(f"{self.url_of(key)} has {answer.meta['size']} bytes; expected at most {limit}")
                return b"".join(exchange.counted(answer.stream(min_chunk_size=AS_IT_COMES)))

        return await _CALLS.run(exchange, get)

    @persistent
    async def write(self, key: str, data: bytes, *, once: bool = False) -> bool:
        """Store a small object in one atomic step.

        Args:
            key: Its key.
            data: Its content.
            once: Leave an object alone that is there already.

        Returns:
            Whether the object now has this content.
        """

        def put() -> None:
            with store_errors("written", self.url_of(key)):
                obstore.put(self._store, check_key(key), data, mode="create" if once else "overwrite")

        try:
            await _CALLS.run(Exchange(self.url_of(key), size=len(data)), put)
        except (ObjectExistsError, WorkerUnavailableError) as exc:
            # The object may be ours: the server's answer to this call, or to the first of two tries, may be lost.
            found = await self.read(key) if once else None
            if found is None and isinstance(exc, WorkerUnavailableError):
                raise
            return found == data
        return True

    async def check_writable(self, key: str) -> None:
        """Try to write beside a key, since many callers have the right to write alone.

        Raises:
            RequestError: Nothing can be written there.
        """
        trial = f"{key}.helios-trial"
        await self.write(trial, b"")
        with suppress(RequestError):
            await self.delete(trial)

    @persistent
    async def size(self, key: str) -> int | None:
        """An object's size in bytes; None where there is none."""

        def head() -> int | None:
            with store_errors("read", self.url_of(key)):
                try:
                    return obstore.head(self._store, check_key(key))["size"]
                except FileNotFoundError as exc:
                    check_bucket(exc, self.url)
                    return None

        return await _CALLS.run(Exchange(self.url_of(key)), head)

    async def entries(self, folder: str = "") -> AsyncIterator[StoredObject]:
        """Every object below a folder."""
        batches = obstore.list(self._store, check_key(folder) if folder else None)

        def take() -> list[StoredObject] | None:
            with store_errors("listed", self.url):
                if (batch := next(batches, None)) is None:
                    return None
                return [
                    StoredObject(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"]) for meta in batch
                ]

        while (batch := await _CALLS.run(Exchange(self.url), take)) is not None:
            for entry in batch:
                yield entry

    @persistent
    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with suppress(FileNotFoundError):
            await self._delete([check_key(key)])

    async def delete_folder(self, folder: str) -> int:
        """Remove everything below a folder.

        Returns:
            The number of objects.
        """
        keys = [entry.key async for entry in self.entries(check_key(folder))]
        for start in range(0, len(keys), KEYS_AT_ONCE):
            await self._delete(keys[start : start + KEYS_AT_ONCE])
        if (path := path_of(self.url_of(folder))) is not None:
            remove_empty_folders(path)
        return len(keys)

    async def _delete(self, keys: list[str]) -> None:
        def delete() -> None:
            with store_errors("deleted", self.url_of(keys[0])):
                obstore.delete(self._store, keys)

        await _CALLS.run(Exchange(self.url_of(keys[0])), delete)
