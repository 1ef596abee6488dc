"""Render and audit the chunks of a run, a bounded number at a time, each by a Prefect task in the flow's event loop."""

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

from prefect import Task
from prefect.client.schemas.objects import State

from helios.models.audit import AuditVerdict
from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from tasks.audit import audit_chunk
from tasks.cached import take_cached
from tasks.chunk import find_accepted, render_chunk
from tasks.hedge import hedge_chunk
from tasks.run.cutting import RunCutting, open_cutting
from tasks.run.deadline import open_deadline
from tasks.run.money import money_watched
from tasks.run.picture_checks import check_pictures, note_copies
from tasks.run.progress import Phase
from tasks.run.run import Run
from tasks.run.session import RunSession
from tasks.run.work import Work
from tasks.schedule.expectation import Timing
from tasks.schedule.policy import Kind, Step

RenderTask = Task[[int, Run], Coroutine[Any, Any, ChunkResult | State[None]]]
AuditTask = Task[[int, Run], Coroutine[Any, Any, State[None] | None]]

TAKES_AT_ONCE = 4
"""Chunks that are taken from the cache at a time, beside those that are rendered."""
LONGEST_RETRY_DELAY_SECONDS = 300.0
RETRY_JITTER = 0.5
"""Spreads retries, so that chunks that failed together do not come back together."""


@dataclass(frozen=True)
class _Pull:
    """What the pullers of a run share."""

    session: RunSession
    """The run."""
    work: Work
    """What is to be done."""
    render: RenderTask
    """Renders a chunk. For an accepted chunk, Prefect finds the record by itself, and says so: Cached."""
    render_anew: RenderTask
    """Renders a chunk whatever is on record."""
    audit: AuditTask
    """Renders it the second time."""
    cutting: RunCutting | None = None
    """Makes chunks of what is cut on the way."""


async def render_all(session: RunSession, *, in_flight: int, retry_delay_seconds: float) -> None:
    """Render every chunk, and those of the audit twice; one more that fails for good than may fail stops the others.

    An audit that fails stops nothing: all chunks are to be accepted, and all that were drawn compared, before the job
    fails over it.

    Args:
        session: The run.
        in_flight: Chunks at a time; where there is a deadline, the most.
        retry_delay_seconds: Pause before a chunk's first retry; each further pause is twice as long.

    Raises:
        JobFailedError: One chunk more failed for good than may fail.
        RequestError: The deadline had passed when the run began.
    """
    run, cutting = session.run, None
    deadline = await open_deadline(session, in_flight)
    most = len(run.identity.job.chunks)
    if run.identity.job.spec.grows:
        run.cutting = cutting = await open_cutting(run, session.accepted, slots=in_flight)
    chunks = [record.chunk for record in run.ledger.ordered]
    cached = await run.cache.look_up(chunks)
    if cached:
        session.api.log.info("%d of %d chunks are in the cache", len(cached), len(chunks))
    earlier = {} if cutting else await session.accepted.read_timings()
    work = Work(
        chunks,
        cached,
        gate=run.control.gate,
        running=lambda: run.contests.running(run.progress.seconds),
        earlier=earlier,
        hedge=run.identity.job.hedge,
        allowed=lambda: run.budget.allowed,
        deadline=deadline,
        cutter=cutting.cutter if cutting else None,
        is_watched=lambda: run.preview.is_watched,
    )
    pull = _open_pull(session, work, cutting, delays=_delays(retry_delay_seconds))
    try:
        async with money_watched(session):
            prices = run.ledger.spending.hourly
            run.places.plan(work.schedule.costs, prices=prices, backlog=lambda: work.schedule.backlog)
            watched = deadline.watched(work.outlook, tell=work.look) if deadline is not None else nullcontext()
            async with watched, asyncio.TaskGroup() as pullers:
                for _ in range(min(in_flight, most)):
                    pullers.create_task(_pull(pull))
                for _ in range(min(TAKES_AT_ONCE, len(cached))):
                    pullers.create_task(_take(pull))
    except BaseExceptionGroup as group:
        # Prefect's own signals too, `Pause` and `Abort`: the flow's engine knows them, and would crash with a group.
        raise group.exceptions[0] from None
    else:
        if deadline is not None:
            deadline.note_rendered()
    finally:
        run.ledger.watched = work.schedule.watched
        await _keep_timings(session, earlier)


def _open_pull(session: RunSession, work: Work, cutting: RunCutting | None, *, delays: list[float]) -> _Pull:
    policy = session.run.identity.policy
    render = render_chunk.with_options(
        retries=policy.retries + policy.environment_retries + len(session.run.places.all) - 1,
        retry_delay_seconds=delays,
        retry_jitter_factor=RETRY_JITTER,
    )
    audit = audit_chunk.with_options(
        retries=policy.environment_retries, retry_delay_seconds=delays, retry_jitter_factor=RETRY_JITTER
    )
    return _Pull(session, work, render, render.with_options(refresh_cache=True), audit, cutting)


async def _keep_timings(session: RunSession, earlier: dict[int, Timing]) -> None:
    """Keep how long the chunks of this run took, and those of earlier ones that it did not render."""
    records, places = session.run.ledger.records.values(), session.run.places
    found = {
        record.chunk.id: Timing(record.chunk.frame_count, times.seconds / places.slowness(times))
        for record in records
        for times in record.times
        if times.outcome is RunState.COMPLETED and times.seconds > 0
    }
    spec = session.run.identity.job.spec
    if found and spec.id is not None and not spec.grows:  # what is cut on the way has its times in its records
        await session.accepted.write_timings(earlier | found)


async def _pull(pull: _Pull) -> None:
    """Take step after step until there is none left."""
    while (step := await pull.work.next()) is not None:
        await _carry_out(step, pull)
        pull.work.done()


async def _carry_out(step: Step, pull: _Pull) -> None:
    run = pull.session.run
    if step.cut is not None and pull.cutting is not None:
        await pull.cutting.begin(step.cut)
    record = run.ledger.records[step.chunk_id]
    chunk = record.chunk
    match step.kind:
        case Kind.RENDER:
            is_accepted = not record.rejections and await find_accepted(chunk, run, pull.session.accepted)
            if step.cut is not None and not is_accepted and chunk.id in await run.cache.look_up((chunk,)):
                await take_cached(chunk, run)
            await _settle(chunk, pull, is_accepted=is_accepted)
        case Kind.HEDGE:
            await _hedge(step, pull)
        case Kind.AUDIT:
            await _audit(chunk, run, pull.audit)


async def _take(pull: _Pull) -> None:
    """Take chunk after chunk from the cache, and leave those that can't be had to the others, who render them."""
    work, run = pull.work, pull.session.run
    while work.cached:
        await run.control.gate.wait()
        if not work.cached:
            return
        chunk = work.cached.popleft()
        is_accepted = await find_accepted(chunk, run, pull.session.accepted)
        if is_accepted or await take_cached(chunk, run):
            await _settle(chunk, pull, is_accepted=is_accepted)
        else:
            work.add(chunk)
        work.decide()


async def _settle(chunk: RenderJobChunk, pull: _Pull, *, is_accepted: bool) -> None:
    """Have Prefect's task for a chunk, which renders it if it is not there yet; then judge its pictures.

    Raises:
        JobFailedError: It failed for good, and the job can't go on without it.
    """
    run, task = pull.session.run, pull.render if is_accepted else pull.render_anew
    record = run.ledger.records[chunk.id]
    try:
        ended: State[Any] = await cast(Any, task)(chunk.id, run, return_state=True)
    except asyncio.CancelledError:
        run.ledger.end_attempt(record, RunState.CANCELLED)
        run.task_states.end_as_cancelled(record.task_run, run.control.stop_reason)
        raise
    run.task_states.end(ended)
    pull.work.count(record)
    if record.parts and pull.cutting is not None:
        await pull.cutting.begin(*record.parts)
        for part in record.parts:
            pull.work.add_cut(part)
        return
    if record.reused:
        pull.work.settle(chunk)
    if ended.is_failed():
        error = await ended.aresult(raise_on_failure=False)
        run.holes.add(record, str(error))
        pull.work.settle(chunk)
        return
    if not ended.is_completed():
        raise asyncio.CancelledError
    if record.result is not None:
        run.cache.keep(chunk, record.result, is_rendered=record.is_rendered_now)
        run.delivery.send(record.result)
    await note_copies(run, chunk)
    rejected = await check_pictures(run, chunk)
    if rejected is not chunk and record.result is not None:
        run.preview.add(chunk, record.result)
    if rejected is not None:
        pull.work.add(rejected)
    if chunk.id in run.ledger.audits.records and rejected is not chunk:
        pull.work.add_audit(chunk)


async def _hedge(step: Step, pull: _Pull) -> None:
    """Give a chunk a second attempt; what comes of it is in the chunk's record, and a failure concerns it alone."""
    run, record = pull.session.run, pull.session.run.ledger.records[step.chunk_id]
    try:
        ended: State[Any] = await cast(Any, hedge_chunk)(step.chunk_id, run, step.seconds, return_state=True)
    except asyncio.CancelledError:
        run.task_states.end_as_cancelled(record.hedge_run, run.control.stop_reason)
        raise
    run.task_states.end(ended)
    pull.work.count(record)
    # A second attempt that lost is Cancelled too: whether the run is being stopped, this task alone knows.
    if (puller := asyncio.current_task()) is not None and puller.cancelling():
        raise asyncio.CancelledError


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
    if run.ledger.audits.records[chunk.id].audit.verdict is AuditVerdict.DIFFERENT:
        await run.cache.forget(chunk)  # one of the renders is wrong, and which one is not known


def _delays(first_seconds: float) -> list[float]:
    """Pauses before each retry, doubling up to a bound; Prefect repeats the last one."""
    if first_seconds == 0:
        return []
    return [min(first_seconds * 2**n, max(first_seconds, LONGEST_RETRY_DELAY_SECONDS)) for n in range(10)]
