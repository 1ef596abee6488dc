"""The flow `render-job`: render the chunks, a bounded number at a time, then join them."""

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
from pathlib import PurePath
from typing import Any, cast

from prefect import Task, flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Crashed, Failed

from flows import parameters
from helios.errors import HeliosError
from helios.models.report import ChunkResult, JobReport, RunState
from helios.models.spec import RenderJobChunk
from tasks import run_log
from tasks.block_references import without_blocks
from tasks.chunk import find_accepted, render_chunk
from tasks.dead_run_automation import say_suspended
from tasks.garbage import calm_collector
from tasks.job_errors import (
    JOB_CANCELLED,
    JobCancelledError,
    JobCrashedError,
    JobEndedError,
    JobFailedError,
)
from tasks.job_run import ENVIRONMENT_RETRIES, JobRun, Limits
from tasks.job_state import stitching
from tasks.join import merge as merge_task
from tasks.join import stitch as stitch_task
from tasks.prepared_job import PreparedJob, prepare_job
from tasks.run_artifacts import published
from tasks.run_log import RunLogger
from tasks.stored_job import StoredJob
from tasks.task_states import record_as_cancelled
from tasks.termination import sigterm_cancels
from tasks.work import Work, job_run

RenderTask = Task[[int, JobRun], Coroutine[Any, Any, ChunkResult | State[None]]]

REMOTE_CONCURRENCY = 10
"""Chunks at a time on workers elsewhere: what the smallest quota of a new account at Amazon's allows."""
LONGEST_RETRY_DELAY_SECONDS = 300.0
RETRY_JITTER = 0.5
"""Spreads retries, so that chunks that failed together do not come back together."""


def _run_name() -> str:
    job = flow_run.parameters.get("job")
    name = PurePath(job).stem if isinstance(job, str) else (job or {}).get("id") or "job"
    return f"{name}-{str(flow_run.id)[-6:]}"


@flow(
    name="render-job",
    flow_run_name=_run_name,
    description="Render a video's chunks on workers, verify every output, and join them into one exact video.",
    persist_result=True,
    result_serializer="json",
)
async def render_job(
    job: parameters.Job,
    adapter: parameters.Adapter = "local",
    concurrency: parameters.Concurrency = None,
    retries: parameters.Retries = 2,
    retry_delay_seconds: parameters.RetryDelay = 1.0,
    environment_retries: parameters.EnvironmentRetries = ENVIRONMENT_RETRIES,
    chunk_timeout_seconds: parameters.ChunkTimeout = None,
    stall_timeout_seconds: parameters.StallTimeout = None,
    job_dir: parameters.JobFolder = None,
    output_file: parameters.OutputFile = None,
    merge: parameters.Merge = True,
    merge_adapter: parameters.MergeAdapter = None,
    audio_file: parameters.AudioFile = None,
    chunks: parameters.Chunks = None,
    fresh: parameters.Fresh = False,
) -> JobReport | State[JobEndedError]:
    """Render a job. Chunks that an earlier run of the same job accepted are reused.

    Args:
        job: Path or URL of a job document, or the document itself, as the Helios renderer emits it.
        adapter: Where chunks are rendered: an adapter's name, its configuration, or a saved one (aws-lambda/BLOCK).
        concurrency: Chunks rendered at a time. Empty: as many as this machine has CPUs; 10 on workers elsewhere.
        retries: How often a chunk whose command failed is tried again.
        retry_delay_seconds: Pause before the first retry; each further pause is twice as long.
        environment_retries: How often a chunk is tried again because its environment failed, not its command.
        chunk_timeout_seconds: A chunk's command is stopped when it runs longer. Empty: never.
        stall_timeout_seconds: A chunk's command is stopped after so long without output, and without growth of its
            output file. Empty: never.
        job_dir: Where commands run and outputs lie. Empty: the job document's folder.
        output_file: The stitched video (mp4, mov, mkv, webm), a path or a storage URL. Empty: as the job document says.
        merge: Whether to join the chunks.
        merge_adapter: Where the job's own merge command runs. Empty: where the chunks are rendered.
        audio_file: Sound track of the stitched video. Empty: the chunks' own sound.
        chunks: Render the chunks with these ids alone, and join nothing. Empty: all.
        fresh: Render all chunks, also those that earlier runs of the job accepted.
    """
    run_log.quiet_expected_errors()
    logger = get_run_logger()
    limits = Limits(
        retries=retries,
        environment_retries=environment_retries,
        timeout_seconds=chunk_timeout_seconds,
        stall_seconds=stall_timeout_seconds,
    )
    try:
        with sigterm_cancels() as cancel:
            prepared = await asyncio.to_thread(
                prepare_job,
                job,
                adapter=await without_blocks(adapter) or "local",
                job_dir=job_dir,
                output_file=output_file,
                merge=merge,
                merge_adapter=await without_blocks(merge_adapter),
                audio_file=audio_file,
                chunk_ids=chunks,
            )
            calm_collector()
            # Who names chunks wants them rendered.
            anew = fresh or chunks is not None
            async with (
                get_client() as client,
                job_run(prepared, client, logger, limits=limits, anew=anew, cancel=cancel) as work,
            ):
                return await _carry_out(work, logger, concurrency=concurrency, retry_delay_seconds=retry_delay_seconds)
    except asyncio.CancelledError:
        _end_cancellation()
        return Cancelled(message=JOB_CANCELLED, data=JobCancelledError(JOB_CANCELLED))
    except HeliosError as exc:
        logger.error("%s", exc)
        return Failed(message=str(exc), data=JobFailedError(str(exc)))


async def _carry_out(
    work: Work, logger: RunLogger, *, concurrency: int | None, retry_delay_seconds: float
) -> JobReport | State[JobEndedError]:
    """Render and join, and say what came of it."""
    run, started = work.run, time.monotonic()
    in_flight = concurrency or (REMOTE_CONCURRENCY if run.stored else os.cpu_count() or 1)
    logger.info("%s", _describe(run.job, in_flight))
    render = render_chunk.with_options(
        retries=run.limits.retries + run.limits.environment_retries,
        retry_delay_seconds=_delays(retry_delay_seconds),
        retry_jitter_factor=RETRY_JITTER,
    )
    try:
        async with work.supervised(), published(run, work.client, logger):
            if removed := await asyncio.to_thread(run.remove_leftovers):
                logger.info("%d files removed that attempts of a stopped run had left", removed)
            if run.stored is not None:
                await _upload(run, run.stored, logger)
            run.progress.enter("rendering")
            await _render_all(work, render, in_flight)
            if reused := sum(record.reused for record in run.records.values()):
                logger.info("%d chunks were accepted by an earlier run, and are reused", reused)
            await _join(work)
            await _clean(run, logger)
    except asyncio.CancelledError:
        _end_cancellation()
        return _stopped(run, logger, duration_ms=_since(started))
    except HeliosError as exc:
        report = run.report(RunState.FAILED, duration_ms=_since(started), error=str(exc))
        logger.error("The job failed: %s", exc)
        return Failed(message=str(exc), data=JobFailedError(str(exc), report))
    report = run.report(RunState.COMPLETED, duration_ms=_since(started))
    logger.info("Done: %d frames in %d chunks in %.1f s%s", report.frames, len(report.chunks),
                report.duration_ms / 1000, f": {report.output}" if report.output else "")  # fmt: skip
    return report


def _stopped(run: JobRun, logger: RunLogger, *, duration_ms: int) -> State[JobEndedError]:
    """Say what a run that was stopped before its end has come to.

    Raises:
        Pause: It is to go on in another process.
    """
    if run.suspension is not None:
        logger.info("Suspended: %d of %d chunks are accepted", run.progress.chunks, run.progress.total_chunks)
        say_suspended(run.run_id)
        raise Pause(state=run.suspension)
    reason = (run.stop_reason if run.is_stopping else None) or JOB_CANCELLED
    report = run.report(run.ends_as, duration_ms=duration_ms, error=reason)
    logger.warning("%s: %d of %d chunks were done", reason, run.progress.chunks, run.progress.total_chunks)
    match run.ends_as:
        case RunState.CRASHED:
            return Crashed(message=reason, data=JobCrashedError(reason, report))
        case RunState.FAILED:
            return Failed(message=reason, data=JobFailedError(reason, report))
        case _:
            return Cancelled(message=reason, data=JobCancelledError(reason, report))


async def _upload(run: JobRun, stored: StoredJob, logger: RunLogger) -> None:
    run.progress.enter("uploading input files")
    if called_off := await stored.call_off_earlier():
        logger.info("%d workers of a stopped run were called off", called_off)
    logger.info("%d input files are in storage; the run's folder is %s", await stored.upload(), stored.url)


async def _render_all(work: Work, render: RenderTask, in_flight: int) -> None:
    """Render every chunk, at most `in_flight` at a time; the first that fails for good stops the others."""
    chunks = work.run.job.chunks
    pending = iter(chunks)
    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(min(in_flight, len(chunks))):
                pullers.create_task(_pull(pending, work, render))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _pull(pending: Iterator[RenderJobChunk], work: Work, render: RenderTask) -> None:
    """Render chunk after chunk until there is none left."""
    run, render_anew = work.run, render.with_options(refresh_cache=True)
    for chunk in pending:
        await run.gate.wait()
        # For one that is accepted, Prefect finds the record by itself, and says so: Cached.
        is_accepted = await find_accepted(chunk, run, work.accepted)
        try:
            ended: State[Any] = await cast(Any, render if is_accepted else render_anew)(
                chunk.id, run, return_state=True
            )
        except asyncio.CancelledError:
            record_as_cancelled(run, chunk.id, run.stop_reason or JOB_CANCELLED)
            raise
        run.end_task(ended)
        if ended.is_failed():
            error = await ended.aresult(raise_on_failure=False)
            run.stop_reason = run.stop_reason or f"Stopped because chunk {chunk.id} failed"
            raise JobFailedError(str(error)) from error
        if not ended.is_completed():
            raise asyncio.CancelledError


async def _join(work: Work) -> None:
    run = work.run
    join = stitch_task if run.job.output is not None else merge_task if run.job.merge is not None else None
    if join is None:
        return
    async with run.underway():
        run.progress.enter("stitching" if run.job.output is not None else "merging")
        await work.tell(stitching())
        ended: State[Any] = await cast(Any, join)(run, return_state=True)
        run.end_task(ended)
        if ended.is_failed():
            raise await ended.aresult(raise_on_failure=False)
        if not ended.is_completed():
            raise asyncio.CancelledError


async def _clean(run: JobRun, logger: RunLogger) -> None:
    """Take what the run left in storage away; a video is not lost over what can't be."""
    if run.stored is None:
        return
    try:
        logger.debug("%d objects removed from %s", await run.stored.clean(), run.stored.url)
    except HeliosError as exc:
        logger.warning("What the run left in %s could not be removed: %s", run.stored.url, exc)


def _describe(job: PreparedJob, in_flight: int) -> str:
    metadata = job.spec.metadata
    rate = f"{float(metadata.fps):.6g}"
    return (
        f"Job {job.name}: {job.total_frames} frames of {metadata.width}×{metadata.height} at {rate} fps in "
        f"{len(job.chunks)} chunks, {in_flight} at a time on {job.adapter_name}, in {job.directory.path}"
    )


def _delays(first_seconds: float) -> list[float]:
    """Pauses before each retry, doubling up to a bound; Prefect repeats the last one."""
    if first_seconds == 0:
        return []
    return [min(first_seconds * 2**n, max(first_seconds, LONGEST_RETRY_DELAY_SECONDS)) for n in range(10)]


def _end_cancellation() -> None:
    """Take note of the cancellation as dealt with, so that Prefect can still write the run's last state."""
    if task := asyncio.current_task():
        while task.cancelling():
            task.uncancel()


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
