"""One execution of a request: its record in storage, and its end by the orchestrator or the platform."""

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from helios.errors import RequestError, WorkerUnavailableError
from helios.job.attempts import STARTED, AttemptRecord
from helios.job.source import is_url
from helios.models.invocation import PROTOCOL, ChunkAnswer, ChunkRequest, WorkerIdentity
from helios.storage.by_url import storage_root
from helios.storage.urls import is_storage_url, join_url, parent_url
from helios.worker.asset_cache import AssetCache, free_bytes
from helios.worker.clock import Clock
from helios.worker.failures import failure_of
from helios.worker.rendering import Rendering, fetch_document
from helios.worker.settings import WorkerSettings


class Attempt:
    """One execution of one request.

    Args:
        request: The request.
        settings: What the deployment decides.
        assets: Kept input files.
        clock: How much time is left.
        identity: The worker that answers.
    """

    def __init__(
        self,
        request: ChunkRequest,
        *,
        settings: WorkerSettings,
        assets: AssetCache,
        clock: Clock,
        identity: WorkerIdentity,
    ) -> None:
        self._request = request
        self._settings = settings
        self._clock = clock
        self._identity = identity
        self._rendering = Rendering(request, settings=settings, assets=assets, clock=clock)
        self._execution = uuid.uuid4().hex[:12]
        self._record: AttemptRecord | None = None

    async def run(self) -> ChunkAnswer:
        """Carry the request out, unless that has been done.

        Raises:
            HeliosError: It was refused, or storage can't be reached.
        """
        if self._request.protocol > PROTOCOL:
            raise RequestError(
                f"The worker {self._settings.name} is version {self._identity.version} and speaks protocol {PROTOCOL}; "
                f"the request is in protocol {self._request.protocol}. Deploy the worker of the orchestrator's version"
            )
        self._settings.check_place(self._request.job_path)
        if self._request.attempt_url is None:
            if self._request.probe:
                return ChunkAnswer(exit_code=0, output=f"free disk: {free_bytes(self._settings.folder)} bytes")
            return await self._rendering.render(self._beside_document())
        self._settings.check_place(self._request.attempt_url)
        storage = storage_root(self._request.attempt_url)
        self._record = AttemptRecord(storage, self._request.attempt_url)
        if (answer := await self._record.result()) is not None:
            return answer  # delivered twice: the work is done already
        if await self._record.is_cancelled():
            raise WorkerUnavailableError("The chunk was cancelled before a worker took it on")
        await self._record.begin(self._execution, self._clock.left())
        if self._request.probe:
            await fetch_document(self._request.job_path, check=self._settings.check_place)
            return await self._recorded(ChunkAnswer(exit_code=0, output="the storage can be read and written"))
        return await self._finish(join_url(self._request.attempt_url, self._execution))

    def _beside_document(self) -> str:
        """Where Helios's orchestrator, which names no place, finds outputs."""
        path = self._request.job_path
        if is_url(path):
            raise RequestError(f"The job at {path} names no place for its outputs; add attemptUrl to the request")
        return parent_url(path if is_storage_url(path) else Path(path).resolve().as_uri())

    async def _finish(self, folder: str) -> ChunkAnswer:
        """Render, and record how it ended; return the record that counts, which is that of the first execution."""
        assert self._record is not None  # noqa: S101  set by the caller
        try:
            answer = await self._until_cancelled(self._rendering.render(folder))
        except Exception as exc:  # noqa: BLE001  it is recorded for an orchestrator that waits for the record alone
            answer = ChunkAnswer.failed(failure_of(exc), timings=self._clock.timings)
        except asyncio.CancelledError:
            # Stopped by the platform, with a few seconds left to record that for an orchestrator that may wait.
            error = WorkerUnavailableError("The worker was stopped by its platform")
            await asyncio.shield(self._recorded(ChunkAnswer.failed(error, timings=self._clock.timings)))
            raise
        if await self._is_over():
            # Delivered twice, or called off late: the job is over, and nothing would remove a record written now. What
            # this execution wrote goes, and no more: a caller may have named any folder as the attempt's.
            await self._record.storage.delete_folder(self._record.key(self._execution))
            await self._record.storage.delete(self._record.key(STARTED))
            return answer
        counts = await self._recorded(answer)
        if answer.artifact is not None and counts.artifact != answer.artifact:
            await self._record.storage.delete_folder(self._record.key(self._execution))
        return counts

    async def _is_over(self) -> bool:
        """Whether the chunk's document is gone, as it is when its job is done."""
        job = self._request.job_path
        if not is_storage_url(job):
            return False
        storage = storage_root(job)
        with suppress(WorkerUnavailableError):
            return await storage.size(storage.key_of(job)) is None
        return False

    async def _recorded(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Record an answer with the worker's identity; return the answer that counts."""
        assert self._record is not None  # noqa: S101  set by the caller
        return await self._record.finish(answer.model_copy(update={"worker": self._identity}))

    async def _until_cancelled(self, work: Coroutine[Any, Any, ChunkAnswer]) -> ChunkAnswer:
        """Await the work, and check at intervals whether the orchestrator has cancelled the chunk."""
        assert self._record is not None  # noqa: S101
        task = asyncio.create_task(work)
        try:
            while True:
                done, _ = await asyncio.wait([task], timeout=self._settings.cancel_poll_seconds or None)
                if done:
                    return task.result()
                with suppress(WorkerUnavailableError):  # the storage may be away for a moment
                    if await self._record.is_cancelled():
                        raise _CalledOffError
        except _CalledOffError:
            raise WorkerUnavailableError("The chunk was cancelled") from None
        finally:
            task.cancel()
            await asyncio.wait([task])


class _CalledOffError(Exception):
    """The orchestrator has cancelled the chunk."""
