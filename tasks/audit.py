"""The audit of one chunk: render it a second time, compare, and throw the second render away."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Cancelled

from helios.errors import HeliosError, file_system_error
from helios.job.held_path import open_own
from helios.media.accepted_file import StitchInput
from helios.media.bounds import reading_bounds
from helios.media.comparison import Comparison, FramePair, compare_outputs
from helios.media.verify import verify_output
from helios.models.audit import AuditVerdict, ChunkAudit
from helios.models.report import ChunkResult
from helios.models.verification import VerifyLevel
from helios.models.worker import WorkerResult
from helios.processes.reader import run_apart
from tasks.attempt import Rendered, describe, render_once
from tasks.image_audit import compare_with_accepted, images_again
from tasks.page.audit_text import describe_difference, workers
from tasks.run.audits import AuditRecord
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.errors import AttemptFailedError
from tasks.run.run import Run
from tasks.site import Attempt

FIRST_NUMBER = 10_001
"""Attempts of audits are numbered from here, which attempts of chunks never reach: neither storage nor an adapter takes
one for the other, and a worker does not answer with the first render's recorded result."""


def retry_if_due(_task: object, _task_run: TaskRun, state: State[object]) -> bool:
    """Leave it to the audit's record whether another attempt is due."""
    return isinstance(state.data, AttemptFailedError) and state.data.retry


@task(
    name="audit-chunk",
    task_run_name="audit-{chunk_id}",
    persist_result=False,
    cache_policy=NO_CACHE,
    retry_condition_fn=retry_if_due,
)
async def audit_chunk(chunk_id: int, run: Run) -> State[None] | None:
    """Render an accepted chunk again, and compare. What came of it is in the ledger.

    Raises:
        AttemptFailedError: The renders differ, or the second one failed; says whether another attempt is due.
    """
    chunk, record = run.ledger.records[chunk_id], run.ledger.audits.records[chunk_id]
    record.task_run = run.task_states.begin()
    accepted = chunk.result
    if accepted is None:
        return None  # it was refused meanwhile because of its pictures, and is audited once it is accepted again
    try:
        async with run.limits.held(chunk.chunk), run.control.underway():
            record.attempts += 1
            found = await _audit(chunk, record, accepted, run)
    except asyncio.CancelledError:
        return Cancelled(message=run.control.stop_reason)  # as a chunk's task
    except (HeliosError, OSError) as exc:
        if chunk.result is not accepted:
            return None
        error = exc if isinstance(exc, HeliosError) else file_system_error(exc)
        raise _failed(error, chunk=chunk, record=record, accepted=accepted, run=run) from exc
    if chunk.result is not accepted:
        return None  # what was compared is not the chunk's output any more
    record.audit = found
    logger = get_run_logger()
    if found.verdict is not AuditVerdict.PASSED:
        logger.error("%s", found.message)
        raise AttemptFailedError(found.message or "")
    psnr = "all frames are equal" if found.lowest_psnr is None else f"at least {found.lowest_psnr:.1f} dB"
    logger.info("Passed: %s. %s", psnr, workers(found))
    return None


def _failed(
    error: HeliosError, *, chunk: ChunkRecord, record: AuditRecord, accepted: ChunkResult, run: Run
) -> AttemptFailedError:
    """Count a second render that failed, and describe it."""
    retry = run.ledger.audits.fail_attempt(record, error)
    message = f"chunk {chunk.chunk.id} ({chunk.chunk.frames}) could not be rendered a second time: {error}"
    log = _log_of(run, chunk, record)
    if log.exists():
        message += f"\n  Its whole output: {log}"
    record.audit = ChunkAudit(
        chunk_id=chunk.chunk.id,
        verdict=AuditVerdict.PENDING if retry else AuditVerdict.FAILED,
        rendered_by=accepted.rendered_by,
        message=message,
    )
    logger = get_run_logger()
    if retry:
        logger.warning("%s\nAnother attempt follows", message)
    else:
        logger.error("%s", message)
    return AttemptFailedError(message, retry)


async def _audit(chunk: ChunkRecord, record: AuditRecord, accepted: ChunkResult, run: Run) -> ChunkAudit:
    """Render again, compare, and remove what was rendered."""
    run.site.check_repeatable(chunk.chunk)
    attempt = describe(
        chunk,
        run,
        number=FIRST_NUMBER - 1 + record.attempts,
        name=f"audit-{record.attempts}",
        avoid_worker=accepted.rendered_by,
    )
    log = _log_of(run, chunk, record)
    compared, ended = await _render_and_compare(attempt, accepted, chunk, run, log=log)
    paths: tuple[str, ...] = ()
    audits = run.ledger.audits
    if compared.pictures is not None and audits.pictures_left > 0 and chunk.result is accepted:
        audits.pictures_left -= 1
        record.both = compared.pictures.both
        with suppress(OSError):  # the difference itself is the news
            paths = await asyncio.to_thread(
                _keep, compared.pictures, log.with_suffix(""), run.identity.job.directory.path
            )
    return _judge(compared, accepted=accepted, ended=ended, chunk=chunk, run=run, pictures=paths)


async def _render_and_compare(
    attempt: Attempt, accepted: ChunkResult, chunk: ChunkRecord, run: Run, *, log: Path
) -> tuple[Comparison, WorkerResult]:
    times = AttemptTimes(run.progress.seconds)
    if accepted.images is not None:
        async with images_again(attempt, run, log=log, times=times) as (place, ended):
            return await compare_with_accepted(accepted, place, chunk, run), ended
    rendered = await render_once(attempt, run, log=log, times=times)
    try:
        return await _compare(accepted, rendered, chunk, run), rendered.ended
    finally:
        rendered.discard()


async def _compare(accepted: ChunkResult, rendered: Rendered, chunk: ChunkRecord, run: Run) -> Comparison:
    metadata = run.identity.job.spec.metadata
    # Packets alone: both files are decoded for the comparison.
    bounds = reading_bounds(frames=accepted.frames, width=metadata.width, height=metadata.height)
    verified = await run_apart(
        verify_output,
        rendered.place,
        bounds=bounds,
        frames=accepted.frames,
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        level=VerifyLevel.CONTAINER,
    )
    if verified.sha256 == accepted.artifact.sha256:
        return Comparison()
    return await run_apart(
        compare_outputs,
        StitchInput(accepted.path, accepted.frames, f"chunk {chunk.chunk.id}", accepted.artifact),
        rendered.place,
        bounds=bounds,
        fps=metadata.fps,
        least_psnr=run.identity.job.audit.least_psnr,
    )


def _keep(pair: FramePair, stem: Path, root: Path) -> tuple[str, ...]:
    """Write the two pictures beside the logs, for people to look at; return their paths."""
    paths = stem.with_name(f"{stem.name}-accepted.png"), stem.with_name(f"{stem.name}-second.png")
    for path, picture in zip(paths, (pair.accepted, pair.again), strict=True):
        with os.fdopen(open_own(path, os.O_WRONLY | os.O_TRUNC, root=root), "wb") as file:
            file.write(picture)
    return tuple(map(str, paths))


def _judge(
    compared: Comparison,
    *,
    accepted: ChunkResult,
    ended: WorkerResult,
    chunk: ChunkRecord,
    run: Run,
    pictures: tuple[str, ...],
) -> ChunkAudit:
    """What the report says of a comparison."""
    first, second = accepted.rendered_by, ended.rendered_by
    audit = ChunkAudit(
        chunk_id=chunk.chunk.id,
        verdict=AuditVerdict.DIFFERENT if compared.is_different else AuditVerdict.PASSED,
        lowest_psnr=None if compared.frame is None else round(compared.lowest_psnr, 2),
        frame=None if compared.frame is None else chunk.chunk.start_frame + compared.frame,
        different_frames=compared.different_frames,
        rendered_by=first,
        rendered_again_by=second,
        same_worker=None if first is None or second is None else first == second,
        render_ms=ended.duration_ms,
        pictures=pictures,
    )
    if not compared.is_different:
        return audit
    message = describe_difference(
        audit, compared, chunk.chunk, codec=accepted.codec, least_psnr=run.identity.job.audit.least_psnr
    )
    return audit.model_copy(update={"message": message})


def _log_of(run: Run, chunk: ChunkRecord, record: AuditRecord) -> Path:
    """Where the whole output of the audit's current attempt is kept; the pictures of a difference lie beside it."""
    logs = run.identity.job.directory.logs(run.identity.run_id)
    return logs / f"chunk-{chunk.chunk.id}.audit-{record.attempts}.log"
