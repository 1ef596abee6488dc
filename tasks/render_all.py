"""Render and audit the chunks of a run, a bounded number at a time, each by a Prefect task in the flow's event loop."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, cast

from prefect import Task
from prefect.client.schemas.objects import State

from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from tasks.audit import audit_chunk
from tasks.chunk import find_accepted, render_chunk
from tasks.run.errors import JobFailedError
from tasks.run.picture_checks import check_pictures
from tasks.run.progress import Phase
from tasks.run.run import Run
from tasks.run.session import RunSession

RenderTask = Task[[int, Run], Coroutine[Any, Any, ChunkResult | State[None]]]
AuditTask = Task[[int, Run], Coroutine[Any, Any, State[None] | None]]

LONGEST_RETRY_DELAY_SECONDS = 300.0
RETRY_JITTER = 0.5
"""Spreads retries, so that chunks that failed together do not come back together."""


@dataclass
class _Work:
    """What is to be done, and how."""

    chunks: deque[RenderJobChunk]
    """To be rendered, in this order."""
    audits: deque[RenderJobChunk]
    """Accepted, and to be rendered a second time: behind all chunks, which they are not to delay."""
    render: RenderTask
    """Renders a chunk."""
    audit: AuditTask
    """Renders it the second time."""


async def render_all(session: RunSession, *, in_flight: int, retry_delay_seconds: float) -> None:
    """Render every chunk, and those of the audit twice; the first chunk that fails for good stops the others.

    An audit that fails stops nothing: all chunks are to be accepted, and all that were drawn compared, before the job
    fails over it.

    Args:
        session: The run.
        in_flight: Chunks at a time.
        retry_delay_seconds: Pause before a chunk's first retry; each further pause is twice as long.

    Raises:
        JobFailedError: A chunk failed for good.
    """
    policy, chunks = session.run.identity.policy, session.run.identity.job.chunks
    delays = _delays(retry_delay_seconds)
    work = _Work(
        deque(chunks),
        deque(),
        render_chunk.with_options(
            retries=policy.retries + policy.environment_retries,
            retry_delay_seconds=delays,
            retry_jitter_factor=RETRY_JITTER,
        ),
        audit_chunk.with_options(
            retries=policy.environment_retries, retry_delay_seconds=delays, retry_jitter_factor=RETRY_JITTER
        ),
    )
    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(min(in_flight, len(chunks))):
                pullers.create_task(_pull(work, session))
    except BaseExceptionGroup as group:
        # Prefect's own signals too, `Pause` and `Abort`: the flow's engine knows them, and would crash with a group.
        raise group.exceptions[0] from None


async def _pull(work: _Work, session: RunSession) -> None:
    """Render chunk after chunk until there is none left, then audit what is to be audited."""
    run, render_anew = session.run, work.render.with_options(refresh_cache=True)
    while work.chunks or work.audits:
        await run.control.gate.wait()
        if work.chunks:
            await _render(work, session, render_anew)
        elif work.audits:
            await _audit(work.audits.popleft(), run, work.audit)


async def _render(work: _Work, session: RunSession, render_anew: RenderTask) -> None:
    """Render the next chunk.

    Raises:
        JobFailedError: It failed for good.
    """
    run, chunk = session.run, work.chunks.popleft()
    record = run.ledger.records[chunk.id]
    # For an accepted chunk, Prefect finds the record by itself, and says so: Cached.
    is_accepted = record.rejections == 0 and await find_accepted(chunk, run, session.accepted)
    try:
        ended: State[Any] = await cast(Any, work.render if is_accepted else render_anew)(
            chunk.id, run, return_state=True
        )
    except asyncio.CancelledError:
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
    rejected = check_pictures(run, chunk)
    if rejected is not None:
        work.chunks.append(rejected)
    if chunk.id in run.ledger.audits.records and rejected is not chunk:
        work.audits.append(chunk)


async def _audit(chunk: RenderJobChunk, run: Run, audit: AuditTask) -> None:
    """Render an accepted chunk a second time; what came of it is in the ledger."""
    progress = run.progress.now
    if progress.phase is Phase.RENDERING and progress.chunks == progress.total_chunks:
        run.progress.enter(Phase.AUDITING)
    try:
        ended: State[Any] = await cast(Any, audit)(chunk.id, run, return_state=True)
    except asyncio.CancelledError:
        record = run.ledger.audits.records[chunk.id]
        run.task_states.end_as_cancelled(record.task_run, run.control.stop_reason)
        raise
    run.task_states.end(ended)
    if not ended.is_completed() and not ended.is_failed():
        raise asyncio.CancelledError


def _delays(first_seconds: float) -> list[float]:
    """Pauses before each retry, doubling up to a bound; Prefect repeats the last one."""
    if first_seconds == 0:
        return []
    return [min(first_seconds * 2**n, max(first_seconds, LONGEST_RETRY_DELAY_SECONDS)) for n in range(10)]
