"""One execution of a request, to its end by itself, by the orchestrator or by the platform."""

import asyncio
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from helios.errors import RequestError, WorkerUnavailableError
from helios.job.source import is_url
from helios.models.invocation import PROTOCOL, ChunkAnswer, ChunkRequest, WorkerIdentity
from helios.storage.urls import is_storage_url, parent_url
from helios.worker.asset_cache import AssetCache, free_bytes
from helios.worker.clock import Clock
from helios.worker.delivery import Delivery, delivery_of, keep_in
from helios.worker.failures import failure_of
from helios.worker.job_document import fetch_document
from helios.worker.rendering import Rendering
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
            return await self._rendering.render(keep_in(self._beside_document()))
        self._settings.check_place(self._request.attempt_url)
        execution = uuid.uuid4().hex[:12]
        delivery = delivery_of(self._request, execution, poll_seconds=self._settings.cancel_poll_seconds)
        if (answer := await delivery.begin(self._clock.left())) is not None:
            return answer
        if self._request.probe:
            await fetch_document(self._request.job_path, check=self._settings.check_place)
            answer = ChunkAnswer(exit_code=0, output="the storage can be read and written")
            return await self._delivered(answer, delivery)
        return await self._finish(delivery)

    def _beside_document(self) -> str:
        """Where Helios's orchestrator, which names no place, finds outputs."""
        path = self._request.job_path
        if is_url(path):
            raise RequestError(f"The job at {path} names no place for its outputs; add attemptUrl to the request")
        return parent_url(path if is_storage_url(path) else Path(path).resolve().as_uri())

    async def _finish(self, delivery: Delivery) -> ChunkAnswer:
        """Render, and deliver how it ended; return the answer that counts."""
        try:
            answer = await _until_called_off(self._rendering.render(delivery.keep), delivery)
        except Exception as exc:  # noqa: BLE001  it is delivered to an orchestrator that waits for the record alone
            answer = ChunkAnswer.failed(failure_of(exc), timings=self._clock.timings)
        except asyncio.CancelledError:
            # Stopped by the platform, with a few seconds left to record that for an orchestrator that may wait.
            error = WorkerUnavailableError("The worker was stopped by its platform")
            await asyncio.shield(self._delivered(ChunkAnswer.failed(error, timings=self._clock.timings), delivery))
            raise
        return await self._delivered(answer, delivery)

    async def _delivered(self, answer: ChunkAnswer, delivery: Delivery) -> ChunkAnswer:
        """Deliver an answer with the worker's identity; return the answer that counts."""
        return await delivery.finish(answer.model_copy(update={"worker": self._identity}))


async def _until_called_off(work: Coroutine[Any, Any, ChunkAnswer], delivery: Delivery) -> ChunkAnswer:
    """Await the work, and stop it when the orchestrator calls the chunk off."""
    task, watch = asyncio.create_task(work), asyncio.create_task(delivery.called_off())
    try:
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        watch.result()
        raise WorkerUnavailableError("The chunk was cancelled")
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait([task, watch])
