"""Join the accepted chunks: stitch them into one video, or run the job's own merge command."""

import asyncio
import threading
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from helios.errors import CommandError, HeliosError, WorkerUnavailableError
from helios.media.accepted_file import check_accepted
from helios.media.stitching import FfmpegStitcher, StitchCancelledError, StitchInput, VideoStitcher
from helios.models.report import OutputReport
from helios.models.worker import WorkerJob
from helios.processes.command import explain_exit
from helios.storage.folder import hash_file
from tasks.request.prepare import Publication
from tasks.run.errors import JOB_CANCELLED
from tasks.run.run import JobRun

STITCHER: VideoStitcher = FfmpegStitcher()


@task(name="stitch", task_run_name="stitch", persist_result=False, cache_policy=NO_CACHE)
async def stitch(run: JobRun) -> OutputReport | State[None]:
    """Join the accepted outputs, in frame order, into the job's video.

    Raises:
        HeliosError: As `VideoStitcher.stitch`.
    """
    run.begin_task()
    output = run.job.output
    assert output is not None  # noqa: S101  the flow stitches where an output is asked for
    inputs = _accepted(run)
    place = run.job.published.url if run.job.published else output
    get_run_logger().info("Stitching %d chunks into %s", len(inputs), place)
    stop = threading.Event()
    work = asyncio.create_task(
        asyncio.to_thread(
            STITCHER.stitch,
            inputs,
            output,
            fps=run.job.spec.metadata.fps,
            audio_file=run.job.audio_file,
            temporary=run.place(output, "stitch"),
            stop=stop,
        )
    )
    try:
        report = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if isinstance(work.exception(), StitchCancelledError):
            return Cancelled(message=run.stop_reason or JOB_CANCELLED)
        report = work.result()
    for warning in report.warnings:
        get_run_logger().warning(warning)
    run.video = await _publish(run.job.published, output, report)
    return run.video


def _accepted(run: JobRun) -> list[StitchInput]:
    """The accepted outputs, in frame order, with what is on record of each."""
    return [
        StitchInput(record.result.path, record.result.frames, f"chunk {record.chunk.id}", record.result.artifact)
        for record in run.records.values()
        if record.result is not None
    ]


async def _publish(place: Publication | None, video: Path, report: OutputReport) -> OutputReport:
    """Say what is in the finished video; where it goes into storage, take it away from here when it is there.

    Raises:
        WorkerUnavailableError: It can't be put there; says where it is instead.
    """
    if place is None:
        return report.model_copy(update={"sha256": (await asyncio.to_thread(hash_file, video))[0]})
    try:
        stored = await place.storage.upload(video, place.key)
    except HeliosError as exc:
        raise WorkerUnavailableError(f"{exc}\n  The video is finished, and lies in {video}") from exc
    video.unlink(missing_ok=True)
    return report.model_copy(update={"path": place.url, "sha256": stored.sha256})


@task(name="merge", task_run_name="merge", persist_result=False, cache_policy=NO_CACHE)
async def merge(run: JobRun) -> State[None] | None:
    """Run the job's merge command in the job directory.

    Raises:
        CommandError: It failed.
        OutputError: A chunk's output was changed since it was accepted; the command has not run.
        HeliosError: As `WorkerAdapter.execute`.
    """
    run.begin_task()
    command = run.job.merge
    assert command is not None  # noqa: S101  the flow merges where there is a merge command
    logger = get_run_logger()
    stop = threading.Event()
    job = WorkerJob(
        command=command.argv[0],
        args=command.argv[1:],
        cwd=str(run.job.directory.path),
        job_url=run.job.source,
    )
    try:
        await asyncio.to_thread(check_accepted, _accepted(run), stop)
        logger.info("Merging with %s", command.argv[0])
        ended = await command.adapter.execute(job, on_output=lambda _stream, line: logger.debug("%s", line))
    except asyncio.CancelledError:
        stop.set()
        return Cancelled(message=run.stop_reason or JOB_CANCELLED)
    if ended.exit_code != 0:
        raise CommandError(explain_exit(f"The merge command {command.argv[0]!r}", ended))
    return None
