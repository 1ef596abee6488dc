"""Render all chunks of a run, a bounded number at a time, each by a Prefect task in the flow's own event loop."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

from prefect import Task
from prefect.client.schemas.objects import State

from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from tasks.chunk import find_accepted, render_chunk
from tasks.run.errors import JobFailedError
from tasks.run.picture_checks import check_pictures
from tasks.run.run import Run
from tasks.run.session import RunSession

RenderTask = Task[[int, Run], Coroutine[Any, Any, ChunkResult | State[None]]]

LONGEST_RETRY_DELAY_SECONDS = 300.0
RETRY_JITTER = 0.5
"""Spreads retries, so that chunks that failed together do not come back together."""


async def render_all(session: RunSession, *, in_flight: int, retry_delay_seconds: float) -> None:
    """Render every chunk; the first chunk that fails for good stops the others.

    Args:
        session: The run.
        in_flight: Chunks at a time.
        retry_delay_seconds: Pause before a chunk's first retry; each further pause is twice as long.

    Raises:
        JobFailedError: A chunk failed for good.
    """
    identity = session.run.identity
    render = render_chunk.with_options(
        retries=identity.policy.retries + identity.policy.environment_retries,
        retry_delay_seconds=_delays(retry_delay_seconds),
        retry_jitter_factor=RETRY_JITTER,
    )
    chunks = identity.job.chunks
    pending = deque(chunks)
    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(min(in_flight, len(chunks))):
                pullers.create_task(_pull(pending, session, render))
    except BaseExceptionGroup as group:
        # Prefect's own signals too, `Pause` and `Abort`: the flow's engine knows them, and would crash with a group.
        raise group.exceptions[0] from None


async def _pull(pending: deque[RenderJobChunk], session: RunSession, render: RenderTask) -> None:
    """Render chunk after chunk until there is none left."""
    run, render_anew = session.run, render.with_options(refresh_cache=True)
    while pending:
        chunk = pending.popleft()
        await run.control.gate.wait()
        # For an accepted chunk, Prefect finds the record by itself, and says so: Cached.
        is_rejected = run.ledger.records[chunk.id].rejections > 0
        is_accepted = not is_rejected and await find_accepted(chunk, run, session.accepted)
        try:
            ended: State[Any] = await cast(Any, render if is_accepted else render_anew)(
                chunk.id, run, return_state=True
            )
        except asyncio.CancelledError:
            record = run.ledger.records[chunk.id]
            run.ledger.end_attempt(record, RunState.CANCELLED)
            run.task_states.end_as_cancelled(record.task_run, run.control.stop_reason)
            raise
        run.task_states.end(ended)
        if ended.is_failed():
            error = await ended.aresult(raise_on_failure=False)
            run.control.blame(f"Stopped because chunk {chunk.id} failed")
            raise JobFailedError(str(error)) from error
        if not ended.is_completed():
            raise asyncio.CancelledError
        if (rejected := check_pictures(run, chunk)) is not None:
            pending.append(rejected)


def _delays(first_seconds: float) -> list[float]:
    """Pauses before each retry, doubling up to a bound; Prefect repeats the last one."""
    if first_seconds == 0:
        return []
    return [min(first_seconds * 2**n, max(first_seconds, LONGEST_RETRY_DELAY_SECONDS)) for n in range(10)]
