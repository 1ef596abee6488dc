"""The life of one chunk: attempt, verify, accept."""

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from helios.errors import CommandError, HeliosError, OutputError, WorkerUnavailableError
from helios.job.own_file import is_shared, make_own
from helios.media.verify import VerifiedOutput, verify_output
from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from helios.models.worker import Artifact, WorkerJob, WorkerResult
from helios.processes.command import explain_exit
from tasks.prefect_api.log import OUTPUT
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_log import chunk_log
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.errors import JOB_CANCELLED, AttemptFailedError
from tasks.run.run import JobRun
from tasks.site.storage import StoredJob


def retry_if_due(_task: object, _task_run: TaskRun, state: State[object]) -> bool:
    """Leave it to the chunk's record whether another attempt is due: the kinds of failure count apart."""
    return isinstance(state.data, AttemptFailedError) and state.data.retry


def _record_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Where Prefect keeps the task's result: the record that the chunk was accepted."""
    run: JobRun = parameters["run"]
    return run.record_key(parameters["chunk_id"])


@task(
    name="render-chunk",
    task_run_name="chunk-{chunk_id}",
    persist_result=True,
    result_serializer="json",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_record_key),
    retry_condition_fn=retry_if_due,
)
async def render_chunk(chunk_id: int, run: JobRun) -> ChunkResult | State[None]:
    """Render one chunk once, and accept its output. Prefect keeps the result, for runs of the same job to come.

    Args:
        chunk_id: Which of the job's chunks. The chunk itself is a model, which Prefect would walk through.
        run: The job's run.

    Returns:
        The accepted output; a Cancelled state when the chunk was stopped.

    Raises:
        AttemptFailedError: The attempt failed; says whether another one is due.
    """
    record = run.records[chunk_id]
    chunk = record.chunk
    record.task_run = run.begin_task()
    logger = get_run_logger()
    asked = run.progress.seconds
    try:
        async with run.slots.held(), run.underway():
            times = run.begin_attempt(record, asked)
            # A chunk that goes well has one line: each costs 1 ms here, and as much in the server.
            level = logging.DEBUG if record.attempts == 1 else logging.INFO
            logger.log(level, "Attempt %d started: %s", record.attempts, chunk.frames)
            result = await _attempt(chunk, run, record.attempts, times)
    except asyncio.CancelledError:
        # Swallowed on purpose, so that Prefect records a reason instead of a crash; the flow, which
        # cancelled this, sees the state and goes on cancelling.
        run.end_attempt(record, RunState.CANCELLED)
        if transaction := get_transaction():
            transaction.write_on_commit = False  # there is no result to keep
        return Cancelled(message=run.stop_reason or JOB_CANCELLED)
    except (HeliosError, OSError) as exc:
        error = exc if isinstance(exc, HeliosError) else WorkerUnavailableError(f"{exc.strerror}: {exc.filename}")
        raise _failed(run, record, error) from exc
    record.result, record.error = result, None
    run.end_attempt(record, RunState.COMPLETED)
    run.progress.add(result.frames)
    logger.info("Accepted: %s, %d bytes, rendered in %.2f s",
                chunk.frames, result.artifact.bytes, result.render_ms / 1000)  # fmt: skip
    return result


def _failed(run: JobRun, record: ChunkRecord, error: HeliosError) -> AttemptFailedError:
    """Count a failure and put it into words: which chunk, which attempt, why, and where to read on."""
    retry = run.fail_attempt(record, error)
    chunk = record.chunk
    message = f"chunk {chunk.id} ({chunk.frames}), attempt {record.attempts}: {error}"
    log = run.job.directory.log(run.run_id, chunk.id, record.attempts)
    if log.exists():
        message += f"\n  Its whole output: {log}"
    record.error = message
    logger = get_run_logger()
    if retry:
        logger.warning("%s\nAnother attempt follows", message)
    else:
        logger.error("%s\nGiven up", message)
    return AttemptFailedError(message, retry)


async def _attempt(chunk: RenderJobChunk, run: JobRun, attempt: int, times: AttemptTimes) -> ChunkResult:
    output = run.job.directory.output(chunk.output_file)
    if output.parent != run.job.directory.path:
        output.parent.mkdir(parents=True, exist_ok=True)
    argv, place = _place(chunk, run, output, attempt)
    if place == output:
        place.unlink(missing_ok=True)
    try:
        times.started = run.progress.seconds
        ended = await _execute(argv, place, chunk, run, attempt)
        times.answered, times.render_ms, times.worker = run.progress.seconds, ended.duration_ms, ended.timings
        if ended.exit_code != 0:
            raise CommandError(explain_exit(os.path.basename(argv[0]), ended))
        fetched = time.monotonic()
        if run.stored is not None:
            await _fetch(ended, run.stored, place)
        times.fetched, started = run.progress.seconds, time.monotonic()
        if is_shared(place):
            await asyncio.to_thread(make_own, place, run.place(output, f"{attempt}-own"))
        # A worker runtime that put the output into storage has decoded it, and the digest was compared on the way here:
        # the same bytes would decode to the same frames. It says where its time went; a worker that does not is not
        # known to have looked.
        decoded = run.stored is not None and ended.timings is not None
        verified = await verify(place, chunk, run, decode=not decoded)
        run.check_fits(f"chunk {chunk.id}", verified)
        place.replace(output)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return ChunkResult(
        run_id=run.run_id,
        chunk_id=chunk.id,
        artifact=Artifact(url=output.as_uri(), bytes=verified.bytes, sha256=verified.sha256),
        frames=verified.frames,
        codec=verified.video.codec,
        attempt=attempt,
        adapter=run.job.adapter_name,
        render_ms=ended.duration_ms,
        verify_ms=round((time.monotonic() - started) * 1000),
        fetch_ms=round((started - fetched) * 1000),
        worker=ended.timings,
    )


async def _fetch(ended: WorkerResult, stored: StoredJob, place: Path) -> None:
    """Bring an output here from storage.

    Raises:
        OutputError: The worker did not put one there.
        WorkerUnavailableError: It did not arrive as it was.
    """
    if ended.artifact is None:
        raise OutputError(
            "the worker answered that it rendered, and named no output in storage: is it one that keeps outputs "
            "to itself? Deploy this project's worker (deploy/)"
        )
    try:
        await stored.fetch(ended.artifact, place)
    except FileNotFoundError:
        raise WorkerUnavailableError(f"The output {ended.artifact.url} is not in storage any more") from None


def _place(chunk: RenderJobChunk, run: JobRun, output: Path, attempt: int) -> tuple[list[str], Path]:
    """Give the attempt a file of its own, by putting its path where the command names the output.

    A command that does not name it as a word of its own writes to the output itself; then the attempt
    is the only one of its chunk, and what lies there was removed before it.
    """
    words = chunk.argv
    place = run.place(output, str(attempt))
    if run.stored is not None:
        return list(words), place  # its workspace is its own; here the file arrives
    if chunk.output_file not in words[1:]:
        return list(words), output
    named = Path(chunk.output_file).with_name(place.name).as_posix()
    if chunk.output_file.startswith("./"):
        named = f"./{named}"
    return [words[0], *(named if word == chunk.output_file else word for word in words[1:])], place


async def _execute(argv: list[str], place: Path, chunk: RenderJobChunk, run: JobRun, attempt: int) -> WorkerResult:
    job = WorkerJob(
        command=argv[0],
        args=tuple(argv[1:]),
        cwd=None if run.stored else str(run.job.directory.path),
        timeout_seconds=run.limits.timeout_seconds,
        stall_seconds=run.limits.stall_seconds,
        output_file=None if run.stored else str(place),
        job_url=await run.stored.document(chunk) if run.stored else run.job.source,
        chunk_index=0 if run.stored else run.records[chunk.id].position,
        chunk_id=chunk.id,
        attempt=attempt,
    )
    logger = get_run_logger()

    def log(line: str) -> None:
        logger.info("%s", line, extra=OUTPUT)

    with chunk_log(run.job.directory.log(run.run_id, chunk.id, attempt), log, run.log_lines) as sink:
        return await run.job.adapter.execute(job, on_output=sink)


async def verify(place: Path, chunk: RenderJobChunk, run: JobRun, *, decode: bool) -> VerifiedOutput:
    """Look at an output as a whole.

    Args:
        place: Where it lies.
        chunk: What was ordered.
        run: The job's run.
        decode: Whether its frames are decoded, too.

    Raises:
        OutputError: It is not what the job ordered.
    """
    metadata = run.job.spec.metadata
    return await asyncio.to_thread(
        verify_output,
        place,
        frames=chunk.frame_count,
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        decode=decode,
    )


async def find_accepted(chunk: RenderJobChunk, run: JobRun, accepted: AcceptedChunks) -> bool:
    """Take a chunk's output of an earlier run, if it is on record and still there with the recorded bytes."""
    if (result := await accepted.find(chunk)) is None:
        return False
    output, logger = run.job.directory.output(chunk.output_file), get_run_logger()
    if result.artifact.url != output.as_uri():
        logger.warning("Chunk %d is rendered again: its record names %s", chunk.id, result.artifact.url)
        return False
    try:
        # It was decoded before it was accepted; its digest, which is compared below, stands for that.
        verified = await verify(output, chunk, run, decode=False)
    except (HeliosError, OSError) as exc:
        logger.warning("Chunk %d is rendered again: %s", chunk.id, exc)
        return False
    if (verified.bytes, verified.sha256) != (result.artifact.bytes, result.artifact.sha256):
        logger.warning("Chunk %d is rendered again: %s was changed since it was accepted", chunk.id, output)
        return False
    return run.reuse(result, verified)
