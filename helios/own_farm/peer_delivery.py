"""A node's delivery to the flow that waits for a chunk: its answer, log and small output in one request.

The flow takes the answer from that request too, and not from Dask, which would fetch it by way of the scheduler.
"""

import asyncio
import hashlib
from pathlib import Path

from helios.errors import OutputError, WorkerUnavailableError
from helios.job.attempts import write_answer
from helios.models.invocation import ChunkAnswer
from helios.models.worker import Artifact
from helios.own_farm.peer_storage import PeerStorage
from helios.own_farm.served_storage import PIECE_BYTES
from helios.storage.urls import join_url

SWIFT_BYTES = 256 * 1024
"""A file up to this size is read at once: a thread would take longer."""


class PeerDelivery:
    """See `helios.worker.delivery.Delivery` for each operation.

    Args:
        url: The attempt's folder.
        execution: The execution's name.
        storage: The flow's folder.
        called_off: Set when the flow calls the attempt off.
    """

    def __init__(self, url: str, execution: str, *, storage: PeerStorage, called_off: asyncio.Event) -> None:
        self._url = url
        self._execution = execution
        self._storage = storage
        self._called_off = called_off
        self._small: dict[str, tuple[bytes, str]] = {}
        self._sent: list[str] = []

    async def begin(self, remaining_seconds: float | None) -> None:
        """Ask nobody: Dask hands a chunk to one node, once."""

    async def called_off(self) -> None:
        """Wait for the node to be told."""
        await self._called_off.wait()

    async def keep(self, path: Path, name: str, *, expected: str | None = None, at_once: bool = False) -> Artifact:
        """Hold a small file back for the answer; send a large one now."""
        # Not in a folder of the execution's own: that would be one more to be made for each chunk.
        key, size = self._storage.key_of(join_url(self._url, f"{self._execution}-{name}")), path.stat().st_size
        if at_once:
            return await self._storage.upload(path, key, expected=expected)
        if size + sum(len(data) for data, _ in self._small.values()) > PIECE_BYTES:
            self._sent.append(key)
            return await self._storage.upload(path, key, expected=expected)
        data = await asyncio.to_thread(path.read_bytes) if size > SWIFT_BYTES else path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if expected not in (None, digest):
            raise OutputError(f"{path} was changed since it was verified. Another process writes to it")
        self._small[key] = (data, digest)
        return Artifact(url=self._storage.url_of(key), bytes=len(data), sha256=digest)

    async def finish(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Send what was held back, and the answer."""
        files = [(key, data, digest) for key, (data, digest) in self._small.items()]
        if not await self._storage.deliver(self._url, files, write_answer(answer)):
            for key in self._sent:
                await self._storage.delete(key)
            raise WorkerUnavailableError("The flow waits for the chunk no more")
        return answer
