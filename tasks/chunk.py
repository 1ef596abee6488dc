"""The life of one chunk: attempt, verify, accept."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Cancelled, Completed
from prefect.transactions import get_transaction

from helios.errors import Failure, HeliosError, RequestError, RetryBudget, file_system_error
from helios.job.shell_signs import describe_signs
from helios.models.report import ChunkResult, ReusedFrom, RunState
from helios.models.spec import RenderJobChunk
from tasks.attempt import describe
from tasks.candidate import Candidate, produce, verify
from tasks.images import render_images
from tasks.images_found import find_accepted_images
from tasks.prefect_api.log import TOLD_AT_END
from tasks.prefect_api.record_format import RecordFormat
from tasks.request.prepared_places import PreparedPlace
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.errors import AttemptFailedError
from tasks.run.last_chunk import describe_length
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
    asked, number = run.progress.seconds, record.attempts
    try:
        frames = record.chunk.frame_count
        async with run.budget.promised(frames), run.places.held(record) as held, run.control.underway():
            times = ledger.begin_attempt(record, asked, begun=held.begun)
            number = record.attempts  # a second attempt may come while this one runs
            # A chunk that goes well has one line: each costs 1 ms here, and as much in the server.
            level = logging.DEBUG if number == 1 else logging.INFO
            logger.log(level, "Attempt %d started: %s", number, record.chunk.frames)
            result = await _attempt(record, run, times, at=held.at, number=number)
    except asyncio.CancelledError:
        # Swallowed on purpose, so that Prefect records a reason instead of a crash; the flow, which
        # cancelled this task, sees the state and goes on cancelling.
        ledger.end_attempt(record, RunState.CANCELLED)
        run.places.judge(record)
        _keep_no_result()
        return Cancelled(message=run.control.stop_reason)
    except (HeliosError, OSError) as exc:
        error = exc if isinstance(exc, HeliosError) else file_system_error(exc)
        if (split := _split(run, record, error)) is not None:
            return split
        raise _failed(run, record, error, number=number) from exc
    ledger.accept(record, result)
    run.places.judge(record)
    if (length := describe_length(record.chunk, result.frames)) is not None:
        logger.warning("%s", length)
    logger.info("Accepted: %s, %d bytes, rendered in %.2f s",
                record.chunk.frames, result.artifact.bytes, result.render_ms / 1000)  # fmt: skip
    return result


def _split(run: Run, record: ChunkRecord, error: HeliosError) -> State[Any] | None:
    """Cut a chunk in two that was stopped at a time limit, where the run cuts its chunks; None if it is to fail."""
    if error.failure is not Failure.TIMEOUT or run.cutting is None:
        return None
    run.ledger.end_attempt(record, RunState.FAILED)
    if not run.cutting.split(record):
        return None
    _keep_no_result()
    parts = " and ".join(f"chunk {part.id} ({part.frames} frames)" for part in record.parts)
    get_run_logger().warning("%s\nCut in two: %s", error, parts)
    return Cancelled(name="Split", message=f"It hit a time limit, and was cut in two: {parts}")


def _keep_no_result() -> None:
    if transaction := get_transaction():
        transaction.write_on_commit = False


def _failed(run: Run, record: ChunkRecord, error: HeliosError, *, number: int) -> AttemptFailedError:
    """Count a failure, and describe it: which chunk, which attempt, why, and where its whole output is."""
    retry = run.ledger.fail_attempt(record, error, is_elsewhere_untried=run.places.has_untried(record))
    run.places.judge(record, error)
    chunk = record.chunk
    message = f"chunk {chunk.id} ({chunk.frames}), attempt {number}: {error}"
    if record.alike > 1:
        message += f"\n  The last {record.alike} attempts wrote the same, and so would another one"
        if run.identity.job.is_last(chunk) and "frames; expected" in str(error):
            message += "; a last chunk of another length can be allowed (--last-chunk shorter, or longer)"
    if error.failure.budget is not RetryBudget.ENVIRONMENT:
        place, has_run = run.identity.job.directory.base, not isinstance(error, RequestError)
        message += "".join(f"\n  {sign}" for sign in describe_signs(chunk.argv, place, has_run=has_run))
    log = _log_of(run, record, number)
    if log.exists():
        message += f"\n  Its whole output: {log}"
    record.error = message
    logger = get_run_logger()
    if retry:
        logger.warning("%s\nAnother attempt follows", message)
    else:
        logger.error("%s\nGiven up", message, extra=TOLD_AT_END)
    return AttemptFailedError(message, retry)


async def _attempt(
    record: ChunkRecord, run: Run, times: AttemptTimes, *, at: PreparedPlace, number: int
) -> ChunkResult:
    """Have the command run at a place, and give its name to the output that is verified first.

    That is its own, or that of a second attempt (`tasks.hedge`); the other attempt is stopped.
    """
    log = _log_of(run, record, number)
    if record.chunk.images is not None:
        return await render_images(record, run, times, at=at, log=log)
    attempt = describe(record, run, number=number, name=str(number))
    async with run.contests.held(record) as contest:
        candidate: Candidate = await contest.first(produce(attempt, run, at=at, log=log, times=times))
        return candidate.accept(record, run)


def _log_of(run: Run, record: ChunkRecord, number: int) -> Path:
    """Where the whole output of one of a chunk's attempts is kept."""
    return run.identity.job.directory.log(run.identity.run_id, record.chunk.id, number)


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
