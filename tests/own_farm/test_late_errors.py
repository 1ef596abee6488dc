"""Errors that come after their caller has gone: asyncio prints nothing of them in a node's log."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios.errors import WorkerUnavailableError
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.own_farm.peer_storage import PeerStorage
from helios.own_farm.work import NodeWork
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings

URL = "file:///nowhere/job.json"


@pytest.fixture
async def told() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio says of the running loop's lost errors."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    yield found
    asyncio.get_running_loop().set_exception_handler(None)


class Failing(WorkerRuntime):
    """A runtime that can't do its last step, since its connections are closed."""

    was_cut = False

    async def run(self, request: ChunkRequest, *, remaining_seconds: float | None = None) -> ChunkAnswer:
        """Wait for the end, and fail there."""
        try:
            await asyncio.sleep(600)
        finally:
            self.was_cut = True
            raise WorkerUnavailableError("The flow's machine can't be reached: ConnectionPool is closed")


async def test_a_chunk_that_nobody_waits_for_fails(told: list[dict[str, Any]], tmp_path: Path) -> None:
    """The scheduler is gone, the chunk is stopped, and its own last error is not printed."""
    runtime = Failing(WorkerSettings(folder=tmp_path))
    work = NodeWork(runtime, name="node", slots=1, tags=frozenset())
    work.worker = SimpleNamespace(status=SimpleNamespace(name="closed"))
    with pytest.raises(WorkerUnavailableError, match="Nobody waits"):
        await work.carry_out(ChunkRequest(job_path=URL).model_dump_json(exclude_none=True), "key")
    assert runtime.was_cut
    await silence(told)


async def test_a_caller_in_another_thread_is_gone(told: list[dict[str, Any]]) -> None:
    """A question to the flow that ends with an error after its caller was cancelled is not printed."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def storage_read(**_given: object) -> None:
        asked.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()
            raise RuntimeError("ConnectionPool is closed")

    storage = PeerStorage("farm://127.0.0.1:1", lambda _address: SimpleNamespace(storage_read=storage_read))
    callers: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def read() -> None:
        reading = asyncio.create_task(storage.read("key"))
        callers.append((asyncio.get_running_loop(), reading))
        await asyncio.wait([reading])

    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, read()))
    await asyncio.wait_for(asked.wait(), 60)
    ((loop, reading),) = callers
    loop.call_soon_threadsafe(reading.cancel)
    await thread
    await asyncio.wait_for(ended.wait(), 60)
    await silence(told)


async def silence(told: list[dict[str, Any]]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert not told
