"""Store files, each read once: what is hashed is what is sent."""

import os
from pathlib import Path
from typing import NamedTuple

import obstore

from helios.models.worker import Artifact
from helios.regular_file import open_regular
from helios.storage.digest import HashedParts
from helios.storage.exchanges import Exchange, Exchanges
from helios.storage.persistent import persistent
from helios.storage.stores import Store, store_errors
from helios.storage.urls import check_key

PART_BYTES = 8 * 1024 * 1024
"""Larger files are uploaded in parts of this size, `PARTS_AT_ONCE` at a time."""
PARTS_AT_ONCE = 4
TRANSFERS_AT_ONCE = 16
"""Files on their way at a time, each in a thread: hashing and writing would hold the event loop."""
TRANSFERS = Exchanges(TRANSFERS_AT_ONCE, "transfer")


class StoredFile(NamedTuple):
    """A file in storage."""

    artifact: Artifact
    """Where it is, its size and digest."""
    tag: str | None
    """The store's name for this content of the object, where it gives one."""


class Uploads:
    """What a storage does about files that are stored; see `helios.storage.folder.Storage`."""

    _store: Store

    def url_of(self, key: str) -> str:
        """The URL of a key."""
        raise NotImplementedError

    async def upload(self, path: Path, key: str, *, expected: str | None = None) -> Artifact:
        """Store a file; as `upload_tagged`."""
        return (await self.upload_tagged(path, key, expected=expected)).artifact

    @persistent
    async def upload_tagged(self, path: Path, key: str, *, expected: str | None = None) -> StoredFile:
        """Store a file, in parts where it is large; replaces what is there when it is whole.

        The file is read once: the digest is that of the bytes that were sent.

        Args:
            path: The file.
            key: Its key.
            expected: Its SHA-256, in hexadecimal; None for whatever it has.

        Raises:
            OutputError: It has another digest; nothing was stored.
        """
        exchange = Exchange(self.url_of(key))

        def put() -> tuple[HashedParts, str | None]:
            with open_regular(path) as file:
                parts = HashedParts(file, part_bytes=PART_BYTES, expected=expected)
                is_small = os.fstat(file.fileno()).st_size <= PART_BYTES
                content = b"".join(exchange.counted(parts)) if is_small else exchange.counted(parts)
                with store_errors("written", self.url_of(key)):
                    stored = obstore.put(
                        self._store, check_key(key), content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                    )
            return parts, stored["e_tag"]

        parts, tag = await TRANSFERS.run(exchange, put)
        return StoredFile(Artifact(url=self.url_of(key), bytes=parts.size, sha256=parts.sha256), tag)
