"""A folder of a flow's machine as artifact storage for the nodes of its farm, for studios without a bucket.

The flow serves the folder while it runs; a node reads and writes it over Dask's connections, in pieces, so that neither
side holds a whole file in memory. `peer_storage.py` is the node's side, and lists the operations.
"""

import asyncio
import hashlib
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.models.worker import Artifact
from helios.own_farm.engine import set_up_engine
from helios.processes.attempt_folder import LockedFolder, remove_abandoned
from helios.regular_file import open_regular
from helios.storage.folder import SMALL_BYTES, Storage
from helios.storage.stores import StorageSettings, store_errors
from helios.storage.urls import check_key
from helios.system_errors import expected

PIECE_BYTES = 4 * 1024 * 1024
"""What travels in one message."""
INCOMING = ".incoming"
"""Folder of the flows' folders for files that have not arrived whole."""


class ServedStorage(Storage):
    """A local folder whose URLs are those by which nodes reach it.

    Args:
        folder: The folder; made if it is not there.
        address: `HOST:PORT` of the server, as nodes reach it.
    """

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(StorageSettings(url=folder.absolute().as_uri()))
        self._folder = folder
        self.url = f"farm://{address}"
        """The folder's URL for nodes."""

    def at(self, url: str) -> Storage:
        """Another folder: a part of this one has this one's server."""
        return Storage(StorageSettings(url=url))

    async def read(self, key: str, *, limit: int = SMALL_BYTES) -> bytes | None:
        """A small object's content, read at once: each chunk has some, and a thread would cost more than the file."""
        try:
            with store_errors("read", self.url_of(key)), open_regular(self._folder / check_key(key)) as file:
                if (size := os.fstat(file.fileno()).st_size) > limit:
                    raise RequestError(f"{self.url_of(key)} has {size} bytes; expected at most {limit}")
                return file.read()
        except FileNotFoundError:
            return None

    async def write(self, key: str, data: bytes, *, once: bool = False) -> bool:
        """Store a small object at once, in one atomic step; see `read`."""
        if once:
            return await super().write(key, data, once=True)
        with store_errors("written", self.url_of(key)):
            _write(self._folder / check_key(key), data)
        return True

    async def take(self, key: str, path: Path, *, expected: Artifact) -> Artifact:
        """Move a file to its place, where that is on the same file system: its digest was compared when it arrived.

        Raises:
            FileNotFoundError: There is no such key.
            WorkerUnavailableError: It is not what was expected.
        """
        own = self._folder / check_key(key)
        with suppress(OSError):
            if own.lstat().st_size == expected.bytes:
                own.rename(path)
                return expected
        return await self.download(key, path, expected=expected)


@dataclass
class _Arriving:
    """A file on its way."""

    path: Path
    file: BinaryIO
    key: str
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, data: bytes) -> None:
        """Add a piece."""
        self.file.write(data)
        self.digest.update(data)


class FolderServer:
    """Serves one folder to the members of a farm.

    Args:
        folder: The folder.
        security: Dask's security settings: who has no certificate of the farm reads and writes nothing.
    """

    def __init__(self, folder: Path, security: Any) -> None:
        set_up_engine()
        from distributed.core import Server

        self._folder = folder
        self._local = Storage(StorageSettings(url=folder.absolute().as_uri()))
        self._security = security
        self._arriving: dict[str, _Arriving] = {}
        self._awaited: dict[str, asyncio.Future[bytes]] = {}
        self._incoming = LockedFolder(folder / INCOMING)
        self._server = Server(
            {
                "storage_read": self._answering(self._read),
                "storage_write": self._answering(self._write),
                "storage_size": self._answering(self._size),
                "storage_list": self._answering(self._list),
                "storage_delete": self._answering(self._delete),
                "storage_piece": self._answering(self._piece),
                "storage_begin": self._answering(self._begin),
                "storage_put": self._answering(self._put),
                "storage_end": self._answering(self._end),
                "storage_deliver": self._answering(self._deliver),
            },
            connection_args=security.get_connection_args("client"),
        )

    async def open(self, host: str) -> str:
        """Begin to serve; `HOST:PORT` for nodes.

        Args:
            host: The address of this machine by which nodes reach it.

        Raises:
            WorkerUnavailableError, RequestError: The system does not let files be made in the folder, now or at all.
        """
        self._incoming.open()
        await self._server
        await self._server.listen(f"tls://{host}:0", **self._security.get_listen_args("scheduler"))
        return str(self._server.address).removeprefix("tls://")

    async def close(self) -> None:
        """Serve no more; what had not arrived whole is removed."""
        await self._server.close()
        for arriving in self._arriving.values():
            arriving.file.close()
        self._arriving.clear()
        self._incoming.remove()

    @contextmanager
    def awaiting(self, attempt: str) -> Iterator["asyncio.Future[bytes]"]:
        """Take an attempt's delivery within the block; a later one is refused.

        Args:
            attempt: The attempt's URL.

        Returns:
            Gets the answer, a `ChunkAnswer` as JSON, when it and all files have arrived.
        """
        self._awaited[attempt] = answer = asyncio.get_running_loop().create_future()
        try:
            yield answer
        finally:
            answer.cancel()
            self._awaited.pop(attempt)

    def _answering(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[dict[str, Any]]]:
        """An operation whose errors travel as words, and not as pickled objects."""

        async def answer(comm: object = None, **given: Any) -> dict[str, Any]:
            try:
                return {"value": await work(**given)}
            except FileNotFoundError:
                return {"missing": True}
            except HeliosError as exc:
                return {"kind": exc.failure.value, "message": str(exc)}
            except OSError as exc:
                found = expected(exc) or WorkerUnavailableError(f"The flow's machine: {exc}")
                return {"kind": found.failure.value, "message": str(found)}

        return answer

    async def _read(self, key: str, limit: int) -> bytes | None:
        return await self._local.read(key, limit=limit)

    async def _write(self, key: str, data: bytes, once: bool) -> bool:
        return await self._local.write(key, bytes(data), once=once)

    async def _size(self, key: str) -> int | None:
        return await self._local.size(key)

    async def _list(self, folder: str) -> list[tuple[str, int, float]]:
        return [(one.key, one.bytes, one.modified.timestamp()) async for one in self._local.entries(folder)]

    async def _delete(self, keys: list[str]) -> None:
        for key in keys:
            await self._local.delete(key)

    async def _piece(self, key: str, offset: int, length: int = PIECE_BYTES) -> bytes:
        with (self._folder / check_key(key)).open("rb") as file:
            file.seek(offset)
            return file.read(min(length, PIECE_BYTES))

    async def _begin(self, key: str) -> str:
        name = uuid.uuid4().hex
        path = self._incoming.path / name
        self._arriving[name] = _Arriving(path, path.open("xb"), check_key(key))
        return name

    async def _put(self, upload: str, data: bytes) -> None:
        arriving = self._arriving.get(upload)
        if arriving is None:
            raise WorkerUnavailableError("The flow knows nothing of this file; it is sent again")
        await asyncio.to_thread(arriving.take, data)

    async def _end(self, upload: str, sha256: str | None) -> None:
        arriving = self._arriving.pop(upload, None)
        if arriving is None:
            raise WorkerUnavailableError("The flow knows nothing of this file; it is sent again")
        arriving.file.close()
        if arriving.digest.hexdigest() != sha256:
            arriving.path.unlink(missing_ok=True)
            if sha256 is None:  # the sender gave up
                return
            raise WorkerUnavailableError(f"{arriving.key} arrived with another digest than it was sent with")
        target = self._folder / arriving.key
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving.path.replace(target)

    async def _deliver(self, attempt: str, files: Sequence[tuple[str, bytes, str]], answer: bytes) -> bool:
        awaited = self._awaited.get(attempt)
        if awaited is None or awaited.done():
            return False
        for key, data, sha256 in files:
            if hashlib.sha256(data).hexdigest() != sha256:
                raise WorkerUnavailableError(f"{key} arrived with another digest than it was sent with")
            _put(self._folder / check_key(key), data)  # nobody looks for it before the answer is there
        awaited.set_result(bytes(answer))
        return True


def _write(path: Path, data: bytes) -> None:
    """Write a file in one atomic step."""
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}")
    _put(temporary, data)
    temporary.replace(path)


def _put(path: Path, data: bytes) -> None:
    """Write a file into its folder, which is made where it is missing."""
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def prepare_folder(folder: Path) -> None:
    """Make the folder for its user alone, and remove what flows that are gone did not receive whole.

    Raises:
        RequestError: It can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise RequestError(f"The folder {folder} for files of farm jobs can't be made ({exc.strerror}); name another "
                           "one (folder in the adapter's settings)") from None  # fmt: skip
    remove_abandoned(folder / INCOMING)
