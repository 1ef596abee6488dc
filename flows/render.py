"""The flow `render-job`: render the chunks, a bounded number at a time, then join them."""

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
from logging import Logger, LoggerAdapter
from pathlib import PurePath
from typing import Annotated, Any

from prefect import Task, flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed
from pydantic import Field

from adapters import AdapterConfig
from helios.errors import HeliosError
from helios.models.report import ChunkResult, JobReport, RunState
from helios.models.spec import RenderJobChunk
from tasks import run_log
from tasks.block_references import without_blocks
from tasks.chunk import render_chunk
from tasks.garbage import calm_collector
from tasks.job_run import (
    ENVIRONMENT_RETRIES,
    JOB_CANCELLED,
    AttemptFailedError,
    JobCancelledError,
    JobEndedError,
    JobFailedError,
    JobRun,
)
from tasks.join import merge as merge_task
from tasks.join import stitch as stitch_task
from tasks.prepared_job import PreparedJob, prepare_job
from tasks.progress import published
from tasks.task_states import record_as_cancelled
from tasks.termination import sigterm_cancels

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
    job: str | dict[str, Any],
    adapter: str | AdapterConfig | dict[str, Any] = "local",
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    retries: Annotated[int, Field(ge=0, le=100)] = 2,
    retry_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0,
    chunk_timeout_seconds: Annotated[float, Field(gt=0)] | None = None,
    job_dir: str | None = None,
    output_file: str | None = None,
    merge: bool = True,
    merge_adapter: str | AdapterConfig | dict[str, Any] | None = None,
    audio_file: str | None = None,
    chunks: list[int] | None = None,
) -> JobReport | State[JobEndedError]:
    """Render a job.

    Args:
        job: Path or URL of a job document, or the document itself, as the Helios renderer emits it.
        adapter: Where chunks are rendered: an adapter's name, its configuration, or a saved one (aws-lambda/BLOCK).
        concurrency: Chunks rendered at a time. Empty: as many as this machine has CPUs; 10 on workers elsewhere.
        retries: How often a chunk whose command failed is tried again.
        retry_delay_seconds: Pause before the first retry; each further pause is twice as long.
        chunk_timeout_seconds: A chunk's command is stopped when it runs longer. Empty: never.
        job_dir: Where commands run and outputs lie. Empty: the job document's folder.
        output_file: The stitched video (mp4, mov, mkv, webm), a path or a storage URL. Empty: as the job document says.
        merge: Whether to join the chunks.
        merge_adapter: Where the job's own merge command runs. Empty: where the chunks are rendered.
        audio_file: Sound track of the stitched video. Empty: the chunks' own sound.
        chunks: Render the chunks with these ids alone, and join nothing. Empty: all.
    """
    run_log.quiet_expected_errors()
    logger = get_run_logger()
    started = time.monotonic()
    try:
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
    except HeliosError as exc:
        logger.error("%s", exc)
        return Failed(message=str(exc), data=JobFailedError(str(exc)))
    calm_collector()
    run = JobRun(prepared, run_id=str(flow_run.id), retries=retries, chunk_timeout_seconds=chunk_timeout_seconds)
    in_flight = concurrency or (REMOTE_CONCURRENCY if run.stored else os.cpu_count() or 1)
    logger.info("%s", _describe(prepared, in_flight))
    render = render_chunk.with_options(
        retries=retries + ENVIRONMENT_RETRIES,
        retry_delay_seconds=_delays(retry_delay_seconds),
        retry_jitter_factor=RETRY_JITTER,
    )
    try:
        with sigterm_cancels():
            async with published(run.progress, logger):
                if run.stored is not None:
                    run.progress.enter("uploading input files")
                    logger.info("%d input files are in storage; the run's folder is %s",
                                await run.stored.upload(), run.stored.url)  # fmt: skip
                run.progress.enter("rendering")
                await _render_all(run, render, in_flight)
                await _join(run)
                await _clean(run, logger)
    except asyncio.CancelledError:
        logger.warning("Cancelled: %d of %d chunks were done", run.progress.chunks, run.progress.total_chunks)
        _end_cancellation()
        report = run.report(RunState.CANCELLED, duration_ms=_since(started), error=JOB_CANCELLED)
        return Cancelled(message=JOB_CANCELLED, data=JobCancelledError(JOB_CANCELLED, report))
    except HeliosError as exc:
        report = run.report(RunState.FAILED, duration_ms=_since(started), error=str(exc))
        logger.error("The job failed: %s", exc)
        return Failed(message=str(exc), data=JobFailedError(str(exc), report))
    report = run.report(RunState.COMPLETED, duration_ms=_since(started))
    logger.info("Done: %d frames in %d chunks in %.1f s%s", report.frames, len(report.chunks),
                report.duration_ms / 1000, f": {report.output}" if report.output else "")  # fmt: skip
    return report


async def _render_all(run: JobRun, render: RenderTask, in_flight: int) -> None:
    """Render every chunk, at most `in_flight` at a time; the first that fails for good stops the others."""
    pending = iter(run.job.chunks)
    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(min(in_flight, len(run.job.chunks))):
                pullers.create_task(_pull(pending, run, render))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _pull(pending: Iterator[RenderJobChunk], run: JobRun, render: RenderTask) -> None:
    """Render chunk after chunk until there is none left."""
    for chunk in pending:
        record = run.records[chunk.id]
        try:
            outcome = await render(chunk.id, run)
        except AttemptFailedError as exc:
            run.stop_reason = run.stop_reason or f"Stopped because chunk {chunk.id} failed"
            raise JobFailedError(str(exc)) from exc
        except asyncio.CancelledError:
            record_as_cancelled(record, run.stop_reason or JOB_CANCELLED)
            raise
        if isinstance(outcome, State):
            raise asyncio.CancelledError


async def _join(run: JobRun) -> None:
    if run.job.output is not None:
        run.progress.enter("stitching")
        video = await stitch_task(run)
        if isinstance(video, State):
            raise asyncio.CancelledError
        run.video = video
    elif run.job.merge is not None:
        run.progress.enter("merging")
        if isinstance(await merge_task(run), State):
            raise asyncio.CancelledError


async def _clean(run: JobRun, logger: Logger | LoggerAdapter[Any]) -> None:
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
