"""The life of one chunk: attempt, verify, accept."""

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Cancelled, Completed
from prefect.transactions import get_transaction

from helios.errors import HeliosError, RequestError, RetryBudget, file_system_error
from helios.job.own_file import is_shared, make_own
from helios.job.shell_signs import describe_signs
from helios.media.bounds import reading_bounds
from helios.media.verify import VerifiedOutput, verify_output
from helios.models.pictures import ChunkPictures
from helios.models.quality import read_quality
from helios.models.report import ChunkResult, ReusedFrom, RunState
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact
from helios.processes.reader import run_apart
from tasks.attempt import describe, render_once
from tasks.images import render_images
from tasks.images_found import find_accepted_images
from tasks.prefect_api.record_format import RecordFormat
from tasks.rehearsing import rehearse_join
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.errors import AttemptFailedError
from tasks.run.last_chunk import LastChunk, allowed_frames, describe_length
from tasks.run.making_way import make_way
from tasks.run.run import Run


def retry_if_due(_task: object, _task_run: TaskRun, state: State[object]) -> bool:
    """Leave it to the ledger whether another attempt is due: the kinds of failure count apart."""
    return isinstance(state.data, AttemptFailedError) and state.data.retry


def _record_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Where Prefect keeps the task's result: the record that the chunk was accepted."""
    run: Run = parameters["run"]
    return run.identity.record_key(run.ledger.records[parameters["chunk_id"]].chunk)


@task(
    name="render-chunk",
    task_run_name="chunk-{chunk_id}",
    persist_result=True,
    result_serializer=RecordFormat(),
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_record_key),
    retry_condition_fn=retry_if_due,
)
async def render_chunk(chunk_id: int, run: Run) -> ChunkResult | State[Any]:
    """Render one chunk once, and accept its output. Prefect keeps the result, for later runs of the same job.

    Args:
        chunk_id: Which of the job's chunks. The chunk itself is a model, which Prefect would walk through.
        run: The job's run.

    Returns:
        The accepted output, in a state Cached if it was taken from the cache; a Cancelled state when the chunk was
        stopped.

    Raises:
        AttemptFailedError: The attempt failed; says whether another one is due.
    """
    record, ledger = run.ledger.records[chunk_id], run.ledger
    record.task_run = run.task_states.begin()
    logger = get_run_logger()
    if record.reused_from is ReusedFrom.CACHE:
        return Completed(name="Cached", message="Taken from the cache of outputs", data=record.result)
    asked = run.progress.seconds
    try:
        async with run.limits.held(record.chunk), run.control.underway():
            times = ledger.begin_attempt(record, asked)
            # A chunk that goes well has one line: each costs 1 ms here, and as much in the server.
            level = logging.DEBUG if record.attempts == 1 else logging.INFO
            logger.log(level, "Attempt %d started: %s", record.attempts, record.chunk.frames)
            result = await _attempt(record, run, times)
    except asyncio.CancelledError:
        # Swallowed on purpose, so that Prefect records a reason instead of a crash; the flow, which
        # cancelled this task, sees the state and goes on cancelling.
        ledger.end_attempt(record, RunState.CANCELLED)
        if transaction := get_transaction():
            transaction.write_on_commit = False  # there is no result to keep
        return Cancelled(message=run.control.stop_reason)
    except (HeliosError, OSError) as exc:
        error = exc if isinstance(exc, HeliosError) else file_system_error(exc)
        raise _failed(run, record, error) from exc
    ledger.accept(record, result)
    if (length := describe_length(record.chunk, result.frames)) is not None:
        logger.warning("%s", length)
    logger.info("Accepted: %s, %d bytes, rendered in %.2f s",
                record.chunk.frames, result.artifact.bytes, result.render_ms / 1000)  # fmt: skip
    return result


def _failed(run: Run, record: ChunkRecord, error: HeliosError) -> AttemptFailedError:
    """Count a failure, and describe it: which chunk, which attempt, why, and where its whole output is."""
    retry = run.ledger.fail_attempt(record, error)
    chunk = record.chunk
    message = f"chunk {chunk.id} ({chunk.frames}), attempt {record.attempts}: {error}"
    if record.alike > 1:
        message += f"\n  The last {record.alike} attempts wrote the same, and so would another one"
        if chunk.id == run.identity.job.last.id and "frames; expected" in str(error):
            message += "; a last chunk of another length can be allowed (--last-chunk shorter, or longer)"
    if error.failure.budget is not RetryBudget.ENVIRONMENT:
        place, has_run = run.identity.job.directory.base, not isinstance(error, RequestError)
        message += "".join(f"\n  {sign}" for sign in describe_signs(chunk.argv, place, has_run=has_run))
    log = _log_of(run, record)
    if log.exists():
        message += f"\n  Its whole output: {log}"
    record.error = message
    logger = get_run_logger()
    if retry:
        logger.warning("%s\nAnother attempt follows", message)
    else:
        logger.error("%s\nGiven up", message)
    return AttemptFailedError(message, retry)


async def _attempt(record: ChunkRecord, run: Run, times: AttemptTimes) -> ChunkResult:
    """Have the command run at the run's site, verify what it wrote, and give it its name."""
    chunk = record.chunk
    if chunk.images is not None:
        return await render_images(record, run, times, log=_log_of(run, record))
    attempt = describe(record, run, number=record.attempts, name=str(record.attempts))
    rendered = await render_once(attempt, run, log=_log_of(run, record), times=times)
    try:
        verifying, ended = time.monotonic(), rendered.ended
        with run.outputs.held(rendered.place) as held:
            if is_shared(held):
                own = run.identity.own_place(attempt.output, f"{chunk.id}-{attempt.number}-own")
                await asyncio.to_thread(make_own, held, held.with_name(own.name))
        verified = await verify(rendered.place, chunk, run, done=rendered.done, pictures=ended.pictures)
        run.ledger.check_fits(f"chunk {chunk.id}", verified)
        record.packets = verified.packets
        if run.ledger.is_rehearsal_due:
            await rehearse_join(rendered.place, chunk, run)
        if rendered.place != attempt.output:
            make_way(attempt.output, run.outputs, get_run_logger())
            run.companions.accept(rendered.place, attempt.output)
            with run.outputs.held(rendered.place) as held:
                held.replace(held.with_name(attempt.output.name))
    except BaseException:
        rendered.discard()
        raise
    run.outputs.note(attempt.output)
    return ChunkResult(
        run_id=run.identity.run_id,
        chunk_id=chunk.id,
        artifact=Artifact(url=attempt.output.as_uri(), bytes=verified.bytes, sha256=verified.sha256),
        frames=verified.frames,
        codec=verified.video.codec,
        attempt=attempt.number,
        adapter=run.identity.job.adapter_name,
        render_ms=ended.duration_ms,
        verified=verified.level,
        pictures=verified.pictures,
        verify_ms=round((time.monotonic() - verifying) * 1000),
        fetch_ms=rendered.fetch_ms,
        worker=ended.timings,
        rendered_by=ended.rendered_by,
        quality=read_quality(ended.stdout),
        inputs=run.inputs.digest_of(chunk),
        input_list=run.inputs.list_key,
    )


def _log_of(run: Run, record: ChunkRecord) -> Path:
    """Where the whole output of a chunk's current attempt is kept."""
    return run.identity.job.directory.log(run.identity.run_id, record.chunk.id, record.attempts)


async def verify(
    place: Path, chunk: RenderJobChunk, run: Run, *, done: VerifyLevel, pictures: ChunkPictures | None
) -> VerifiedOutput:
    """Compare a whole output with the job's order.

    Args:
        place: The output.
        chunk: What was ordered.
        run: The job's run.
        done: The level at which these bytes are known to have been verified.
        pictures: What was kept of their pictures then.

    Returns:
        The output, with the level that it has now.

    Raises:
        OutputError: The output is not what was ordered.
    """
    metadata, wanted = run.identity.job.spec.metadata, run.identity.job.level
    if pictures is None and done.covers(VerifyLevel.PICTURES):
        done = VerifyLevel.DECODE
    is_done = done.covers(wanted)
    frames, job = chunk.frame_count, run.identity.job
    if job.last_chunk is not None and chunk.id == job.last.id:
        bounds = reading_bounds(frames=frames, width=metadata.width, height=metadata.height)
        found = await run_apart(allowed_frames, place, chunk, LastChunk(job.last_chunk), bounds=bounds)
        frames = chunk.frame_count if found is None else found
    verified = await run_apart(
        verify_output,
        place,
        bounds=reading_bounds(frames=frames, width=metadata.width, height=metadata.height),
        frames=frames,
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        level=VerifyLevel.CONTAINER if is_done else wanted,
    )
    return replace(verified, level=done, pictures=pictures) if is_done else verified


async def find_accepted(chunk: RenderJobChunk, run: Run, accepted: AcceptedChunks) -> bool:
    """Take a chunk's output of an earlier run, if it is on record, its inputs are as they were, and so is its file."""
    if chunk.images is not None:
        return await find_accepted_images(chunk, run, accepted)
    if (found := await accepted.find(chunk)) is None:
        return False
    if (result := await run.inputs.reconcile(chunk, found)) is None:
        return False
    output, logger = run.identity.job.directory.output(chunk.output_file), get_run_logger()
    if result.artifact.url != output.as_uri():
        logger.warning("Chunk %d is rendered again: its record names %s", chunk.id, result.artifact.url)
        return False
    try:
        # What was verified before it was accepted needs no more: its digest, which is compared below, stands for that.
        verified = await verify(output, chunk, run, done=result.verified, pictures=result.pictures)
    except (HeliosError, OSError) as exc:
        logger.warning("Chunk %d is rendered again: %s", chunk.id, exc)
        return False
    if (verified.bytes, verified.sha256) != (result.artifact.bytes, result.artifact.sha256):
        logger.warning("Chunk %d is rendered again: %s was changed since it was accepted", chunk.id, output)
        return False
    if verified.level is not result.verified:
        result = result.model_copy(update={"verified": verified.level, "pictures": verified.pictures})
    if result is not found:
        await accepted.write(chunk, result)
    return run.ledger.reuse(result, verified)
