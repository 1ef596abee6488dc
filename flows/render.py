"""The flow `render-job`: render the chunks, a bounded number at a time, then join them."""

import asyncio
import os
import time
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Crashed, Failed

from flows import parameters
from helios.errors import HeliosError
from helios.models.report import JobReport, RunState
from tasks.join import merge as merge_task
from tasks.join import stitch as stitch_task
from tasks.page.artifacts import published
from tasks.page.overdue import overdue_is_told
from tasks.page.webhook import Webhook, open_webhook
from tasks.prefect_api import log as run_log
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.one_try import FOR_ONE_TRY
from tasks.prefect_api.states import job_state, stitching
from tasks.render_all import render_all
from tasks.request.blocks import without_blocks
from tasks.request.output_name import complete_name, has_placeholder
from tasks.request.overwrite import claim_output
from tasks.request.prepare import PreparedJob, prepare_job
from tasks.request.scheduled_time import scheduled_time
from tasks.run.dead_run_automation import say_suspended
from tasks.run.errors import (
    JOB_CANCELLED,
    JobCancelledError,
    JobCrashedError,
    JobEndedError,
    JobFailedError,
)
from tasks.run.garbage import calm_collector
from tasks.run.run import ENVIRONMENT_RETRIES, JobRun, Limits
from tasks.run.session import Work, job_run
from tasks.run.supervision import leave_suspension_to_supervisor
from tasks.run.termination import sigterm_cancels
from tasks.site.storage import StoredJob

REMOTE_CONCURRENCY = 10
"""Chunks at a time on workers elsewhere: what the smallest quota of a new account at Amazon's allows."""


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
    overwrite: parameters.Overwrite = None,
    overdue_seconds: parameters.OverdueSeconds = None,
    webhook: parameters.WebhookUrl = None,
    webhook_secret: parameters.WebhookSecret = None,
    webhook_data: parameters.WebhookData = None,
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
            {date}, {time}, {year}, {month}, {day} and {weekday} in it are those for which the run was planned.
        merge: Whether to join the chunks.
        merge_adapter: Where the job's own merge command runs. Empty: where the chunks are rendered.
        audio_file: Sound track of the stitched video. Empty: the chunks' own sound.
        chunks: Render the chunks with these ids alone, and join nothing. Empty: all.
        fresh: Render all chunks, also those that earlier runs of the job accepted.
        overwrite: Whether a video that is there already may be replaced. Empty: yes, but not by a run that a schedule
            started.
        overdue_seconds: A job that takes longer says so, and goes on. Empty: never.
        webhook: Address that is told of the job's end, and that it is overdue, by a signed request.
        webhook_secret: Name of the Secret block that signs the webhook. Empty: the variable HELIOS_WEBHOOK_SECRET of
            the worker.
        webhook_data: Sent along with the webhook, at most 4 KiB.
    """
    run_log.quiet_expected_errors()
    leave_suspension_to_supervisor()
    logger = get_run_logger()
    limits = Limits(
        retries=retries,
        environment_retries=environment_retries,
        timeout_seconds=chunk_timeout_seconds,
        stall_seconds=stall_timeout_seconds,
    )
    told: Webhook | None = None
    this: FlowRun | None = None
    ended: JobReport | State[JobEndedError]
    try:
        with sigterm_cancels() as cancel:
            async with get_client(httpx_settings=FOR_ONE_TRY) as client:
                told = await open_webhook(webhook, secret=webhook_secret, data=webhook_data)
                this = await client.read_flow_run(UUID(str(flow_run.id)))
                if output_file is not None and has_placeholder(output_file):
                    output_file = complete_name(output_file, await scheduled_time(client, this))
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
                await claim_output(client, this, prepared, overwrite=overwrite)
                calm_collector()
                # Who names chunks wants them rendered.
                anew = fresh or chunks is not None
                async with (
                    job_run(prepared, client, logger, limits=limits, anew=anew, cancel=cancel) as work,
                    overdue_is_told(work.run, overdue_seconds, name=this.name, webhook=told, logger=logger),
                ):
                    ended = await _carry_out(
                        work, logger, concurrency=concurrency, retry_delay_seconds=retry_delay_seconds
                    )
    except asyncio.CancelledError:
        _end_cancellation()
        ended = Cancelled(message=JOB_CANCELLED, data=JobCancelledError(JOB_CANCELLED))
    except HeliosError as exc:
        logger.error("%s", exc)
        ended = Failed(message=str(exc), data=JobFailedError(str(exc)))
    if told is not None and this is not None:
        await _tell(told, this, ended, logger)
    return ended


async def _tell(webhook: Webhook, run: FlowRun, ended: JobReport | State[JobEndedError], logger: RunLogger) -> None:
    """Send a run's end."""
    report: JobReport | None
    if isinstance(ended, JobReport):
        state, message, report = RunState.COMPLETED, "", ended
    else:
        error = await ended.aresult(raise_on_failure=False)
        report = error.report if isinstance(error, JobEndedError) else None
        state, message = job_state(ended), ended.message or ""
    await webhook.send_end(run, state, message, report=report, logger=logger)


async def _carry_out(
    work: Work, logger: RunLogger, *, concurrency: int | None, retry_delay_seconds: float
) -> JobReport | State[JobEndedError]:
    """Render and join, and say what came of it."""
    run, started = work.run, time.monotonic()
    in_flight = concurrency or (REMOTE_CONCURRENCY if run.stored else os.cpu_count() or 1)
    logger.info("%s", _describe(run.job, in_flight))
    try:
        async with work.supervised(), published(run, work.client, logger) as page:
            if removed := await asyncio.to_thread(run.remove_leftovers):
                logger.info("%d files removed that attempts of a stopped run had left", removed)
            if run.stored is not None:
                await _upload(run, run.stored, logger)
            run.progress.enter("rendering")
            await render_all(work, in_flight=in_flight, retry_delay_seconds=retry_delay_seconds)
            if reused := sum(record.reused for record in run.records.values()):
                logger.info("%d chunks were accepted by an earlier run, and are reused", reused)
            if run.job.output is not None:
                page.begin_sheet()
            await _join(work)
            run.is_done = True
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


async def _join(work: Work) -> None:
    run = work.run
    join = stitch_task if run.job.output is not None else merge_task if run.job.merge is not None else None
    if join is None:
        return
    async with run.underway():
        run.progress.enter("stitching" if run.job.output is not None else "merging")
        told = asyncio.create_task(work.tell(stitching()))  # beside the join, which does not wait for it
        try:
            ended: State[Any] = await cast(Any, join)(run, return_state=True)
            await told
        finally:
            told.cancel()
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


def _end_cancellation() -> None:
    """Take note of the cancellation as dealt with, so that Prefect can still write the run's last state."""
    if task := asyncio.current_task():
        while task.cancelling():
            task.uncancel()


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
