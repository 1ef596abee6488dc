"""The way of an execution's files and answer to its orchestrator.

They go through artifact storage, unless a worker's platform has a shorter way to the one that waits for them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from helios.errors import WorkerUnavailableError
from helios.job.attempts import STARTED, AttemptRecord
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.models.worker import Artifact
from helios.storage.by_url import storage_root
from helios.storage.folder import Storage
from helios.storage.urls import is_storage_url, join_url, split_url


class Keep(Protocol):
    """Puts a file where the orchestrator finds it."""

    def __call__(
        self, path: Path, name: str, *, expected: str | None = None, at_once: bool = False
    ) -> Coroutine[Any, Any, Artifact]:
        """Keep a file.

        Args:
            path: The file.
            name: Its name there.
            expected: Its SHA-256, in hexadecimal; None for whatever it has.
            at_once: It is to be there also if this worker dies before it answers.

        Raises:
            OutputError: It has another digest; nothing was kept.
        """
        ...


class Delivery(Protocol):
    """The way of one execution's outcome to its orchestrator."""

    async def begin(self, remaining_seconds: float | None) -> ChunkAnswer | None:
        """Say that the attempt is taken on; the answer of an earlier execution, where that is all there is to do.

        Args:
            remaining_seconds: How long the worker may live; None for no limit.

        Raises:
            WorkerUnavailableError: The attempt was called off.
        """
        ...

    async def called_off(self) -> None:
        """Return when the orchestrator calls the attempt off."""
        ...

    async def keep(self, path: Path, name: str, *, expected: str | None = None, at_once: bool = False) -> Artifact:
        """Hand over a file; see `Keep`."""
        ...

    async def finish(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Hand over the answer; return the answer that counts, which is that of the first execution."""
        ...


OTHER_WAYS: dict[str, Callable[[str, str], Delivery]] = {}
"""By scheme of the attempt's URL, what makes the delivery of an attempt and an execution where it is not
`StoredDelivery`: a node adds what its farm uses."""


def delivery_of(request: ChunkRequest, execution: str, *, poll_seconds: float) -> Delivery:
    """The way of an execution's outcome.

    Args:
        request: A request that names an attempt.
        execution: The execution's name.
        poll_seconds: How often to look into storage whether the attempt was called off; 0 for never.
    """
    url = request.attempt_url or ""
    if (other := OTHER_WAYS.get(split_url(url)[0].partition(":")[0])) is not None:
        return other(url, execution)
    return StoredDelivery(request, execution, poll_seconds=poll_seconds)


def keep_in(folder: str) -> Keep:
    """Keep files in a folder in storage."""
    storage = storage_root(folder)

    async def keep(path: Path, name: str, *, expected: str | None = None, at_once: bool = False) -> Artifact:
        return await storage.upload(path, storage.key_of(join_url(folder, name)), expected=expected)

    return keep


class StoredDelivery:
    """Files and answer in the attempt's folder in storage, as `helios.job.attempts` describes it.

    Args:
        request: A request that names an attempt.
        execution: The execution's name.
        poll_seconds: How often to look whether the attempt was called off; 0 for never.
    """

    def __init__(self, request: ChunkRequest, execution: str, *, poll_seconds: float) -> None:
        url = request.attempt_url or ""
        self._job = request.job_path
        self._execution = execution
        self._poll_seconds = poll_seconds
        self._storage: Storage = storage_root(url)
        self._record = AttemptRecord(self._storage, url)
        self._keep = keep_in(join_url(url, execution))

    async def begin(self, remaining_seconds: float | None) -> ChunkAnswer | None:
        """Note it in storage, unless the work is done already, as it is where a request was delivered twice."""
        if (answer := await self._record.result()) is not None:
            return answer
        if await self._record.is_cancelled():
            raise WorkerUnavailableError("The chunk was cancelled before a worker took it on")
        await self._record.begin(self._execution, remaining_seconds)
        return None

    async def called_off(self) -> None:
        """Look at intervals for the orchestrator's note."""
        if not self._poll_seconds:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._poll_seconds)
            with suppress(WorkerUnavailableError):  # the storage may be away for a moment
                if await self._record.is_cancelled():
                    return

    async def keep(self, path: Path, name: str, *, expected: str | None = None, at_once: bool = False) -> Artifact:
        """Put a file into the execution's folder."""
        return await self._keep(path, name, expected=expected)

    async def finish(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Record the answer, unless the job is over, or another execution was first: then this one's files go."""
        if await self._is_over():
            # Delivered twice, or called off late: nothing would remove a record written now. What this execution wrote
            # goes, and no more: a caller may have named any folder as the attempt's.
            await self._storage.delete_folder(self._record.key(self._execution))
            await self._storage.delete(self._record.key(STARTED))
            return answer
        counts = await self._record.finish(answer)
        if (answer.artifact, answer.images) not in [(None, None), (counts.artifact, counts.images)]:
            await self._storage.delete_folder(self._record.key(self._execution))
        return counts

    async def _is_over(self) -> bool:
        """Whether the chunk's document is gone, as it is when its job is done."""
        if not is_storage_url(self._job):
            return False
        storage = storage_root(self._job)
        with suppress(WorkerUnavailableError):
            return await storage.size(storage.key_of(self._job)) is None
        return False
