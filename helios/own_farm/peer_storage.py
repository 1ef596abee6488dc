"""The node's side of a folder that a flow serves: artifact storage under `farm://HOST:PORT`."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from helios.errors import Failure, OutputError, WorkerUnavailableError
from helios.late_errors import ignore_late_error
from helios.models.worker import Artifact
from helios.own_farm.served_storage import PIECE_BYTES
from helios.storage.folder import SMALL_BYTES, Storage
from helios.storage.stores import StorageSettings, StoredObject
from helios.storage.urls import check_key


class PeerStorage(Storage):
    """The folder of a flow; see `helios.storage.folder.Storage` for each operation.

    Args:
        url: `farm://HOST:PORT`.
        pool: Dask's pool of connections of this node, which has the farm's certificate.
        loop: The event loop to which these belong; the running one when None.
    """

    def __init__(self, url: str, pool: Any, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.settings = StorageSettings(url=url)
        self.url = url
        """The folder's URL."""
        # A document is read in a thread with an event loop of its own; Dask's connections belong to the node's.
        self._loop = asyncio.get_running_loop() if loop is None else loop
        self._peer = pool(f"tls://{url.removeprefix('farm://').rstrip('/')}")

    def at(self, url: str) -> Storage:
        """Another folder: one of another store has nothing to do with this one."""
        return Storage(StorageSettings(url=url))

    async def _ask(self, operation: str, **given: Any) -> Any:
        asking = getattr(self._peer, operation)(**given)
        try:
            if asyncio.get_running_loop() is self._loop:
                answer = await asking
            else:
                answer = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_let_alone(asking), self._loop))
        except (OSError, TimeoutError, RuntimeError) as exc:  # the last, of a node that has left its farm
            raise WorkerUnavailableError(f"The flow's machine at {self.url} can't be reached: {exc}") from exc
        if "missing" in answer:
            raise FileNotFoundError(2, "No such object", str(given.get("key")))
        if "kind" in answer:
            raise Failure(answer["kind"]).error(str(answer["message"]))
        return answer["value"]

    async def upload(self, path: Path, key: str, *, expected: str | None = None) -> Artifact:
        """Store a file in pieces; the next one is read while one is on its way."""
        upload = await self._ask("storage_begin", key=check_key(key))
        sending: asyncio.Task[Any] | None = None
        try:
            with path.open("rb") as file:
                pieces = _Pieces(file)
                while piece := await asyncio.to_thread(pieces.read):
                    if sending is not None:
                        await sending
                    sending = asyncio.create_task(self._ask("storage_put", upload=upload, data=piece))
            if sending is not None:
                await sending
            if expected not in (None, pieces.digest.hexdigest()):
                raise OutputError(f"{path} was changed since it was verified. Another process writes to it")
        except BaseException:
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])
            with suppress(WorkerUnavailableError):
                await self._ask("storage_end", upload=upload, sha256=None)
            raise
        await self._ask("storage_end", upload=upload, sha256=pieces.digest.hexdigest())
        return Artifact(url=self.url_of(key), bytes=pieces.size, sha256=pieces.digest.hexdigest())

    async def deliver(self, attempt: str, files: Sequence[tuple[str, bytes, str]], answer: bytes) -> bool:
        """Hand an attempt's answer to the flow that waits for it, with small files.

        Args:
            attempt: The attempt's URL.
            files: Key, content and SHA-256 of each.
            answer: A `ChunkAnswer` as JSON.

        Returns:
            Whether the flow waited for it; if not, nothing is stored.
        """
        return bool(await self._ask("storage_deliver", attempt=attempt, files=list(files), answer=answer))

    async def download(
        self, key: str, path: Path, *, expected: Artifact | None = None, most: int | None = None
    ) -> Artifact:
        """Fetch a file in pieces; it appears when it is whole."""
        temporary = path.with_name(f".{path.name[-64:]}.{uuid.uuid4().hex[:12]}")
        try:
            digest, size = await self._receive_into(check_key(key), temporary, expected.bytes if expected else most)
            if expected is not None and (size, digest) != (expected.bytes, expected.sha256):
                raise WorkerUnavailableError(f"{self.url_of(key)} arrived damaged, or was replaced")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return Artifact(url=self.url_of(key), bytes=size, sha256=digest)

    async def _receive_into(self, key: str, path: Path, most: int | None) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            while most is None or size <= most:
                if not (piece := await self._ask("storage_piece", key=key, offset=size)):
                    break
                digest.update(piece)
                size += file.write(piece)
        return digest.hexdigest(), size

    async def digest(self, key: str) -> tuple[str, int]:
        """An object's digest and size."""
        digest, size = hashlib.sha256(), 0
        while piece := await self._ask("storage_piece", key=check_key(key), offset=size):
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest(), size

    async def read(self, key: str, *, limit: int = SMALL_BYTES) -> bytes | None:
        """A small object's content; None where there is none."""
        data = await self._ask("storage_read", key=check_key(key), limit=limit)
        return None if data is None else bytes(data)

    async def read_range(self, key: str, *, offset: int, length: int) -> bytes:
        """A part of an object; at most a piece of it."""
        return bytes(await self._ask("storage_piece", key=check_key(key), offset=offset, length=length))

    async def write(self, key: str, data: bytes, *, once: bool = False) -> bool:
        """Store a small object in one atomic step."""
        return bool(await self._ask("storage_write", key=check_key(key), data=data, once=once))

    async def size(self, key: str) -> int | None:
        """An object's size in bytes; None where there is none."""
        size: int | None = await self._ask("storage_size", key=check_key(key))
        return size

    async def entries(self, folder: str = "") -> AsyncIterator[StoredObject]:
        """Every object below a folder."""
        for key, size, modified in await self._ask("storage_list", folder=folder):
            yield StoredObject(key, size, datetime.fromtimestamp(modified, UTC))

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        await self._ask("storage_delete", keys=[check_key(key)])

    async def delete_folder(self, folder: str) -> int:
        """Remove everything below a folder; how many objects that were."""
        keys = [entry.key async for entry in self.entries(check_key(folder))]
        await self._ask("storage_delete", keys=keys)
        return len(keys)


class _Pieces:
    """Reads a file piece by piece.

    Args:
        file: The file, from its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        """Of what was read."""
        self.size = 0
        """Bytes that were read."""

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        piece = self._file.read(PIECE_BYTES)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


async def _let_alone(asking: Awaitable[Any]) -> Any:
    """Ask in a task whose caller, in another thread, may be gone when the connection is lost."""
    if (task := asyncio.current_task()) is not None:
        task.add_done_callback(ignore_late_error)
    return await asking
