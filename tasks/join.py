"""Join the accepted chunks: stitch them into one video, or run the job's own merge command."""

import asyncio
import threading
from contextlib import suppress
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
from helios.processes.command_output import explain_exit
from helios.storage.digest import hash_file
from tasks.request.prepare import VideoUpload
from tasks.run.ledger import Ledger
from tasks.run.run import Run

STITCHER: VideoStitcher = FfmpegStitcher()


@task(name="stitch", task_run_name="stitch", persist_result=False, cache_policy=NO_CACHE)
async def stitch(run: Run) -> OutputReport | State[None]:
    """Join the accepted outputs, in frame order, into the job's video.

    Raises:
        HeliosError: As `VideoStitcher.stitch`.
    """
    run.task_states.begin()
    job, logger = run.identity.job, get_run_logger()
    output = job.output
    assert output is not None  # noqa: S101  the flow stitches where an output is asked for
    inputs = _inputs(run.ledger)
    logger.info("Stitching %d chunks into %s", len(inputs), job.video_url or output)
    earlier = None if job.overwrites else run.outputs.set_aside(output)
    if earlier is not None:
        logger.warning("%s", earlier)
    try:
        report = await _stitch(run, output, inputs)
    finally:
        if earlier is not None:
            with suppress(OSError):  # the log says where it is
                earlier.put_back()  # unless a video is there now
    if report is None:
        return Cancelled(message=run.control.stop_reason)
    for warning in report.warnings:
        logger.warning(warning)
    run.outputs.note(output)
    run.ledger.video = await _deliver(job.upload, output, report)
    return run.ledger.video


async def _stitch(run: Run, output: Path, inputs: list[StitchInput]) -> OutputReport | None:
    """Stitch in a thread; None if the stitch was cancelled."""
    job = run.identity.job
    stop = threading.Event()
    work = asyncio.create_task(
        asyncio.to_thread(
            STITCHER.stitch,
            inputs,
            output,
            fps=job.spec.metadata.fps,
            audio_file=job.audio_file,
            temporary=run.identity.place(output, "stitch"),
            stop=stop,
        )
    )
    try:
        report = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if isinstance(work.exception(), StitchCancelledError):
            return None
        report = work.result()
    return report


def _inputs(ledger: Ledger) -> list[StitchInput]:
    """The accepted outputs, in frame order, each with its recorded size and digest."""
    return [
        StitchInput(record.result.path, record.result.frames, f"chunk {record.chunk.id}", record.result.artifact)
        for record in ledger.records.values()
        if record.result is not None
    ]


async def _deliver(upload: VideoUpload | None, video: Path, report: OutputReport) -> OutputReport:
    """Complete the report of the finished video; a video that goes into storage is removed here once it is there.

    Raises:
        WorkerUnavailableError: The upload failed; says where the video is instead.
    """
    if upload is None:
        return report.model_copy(update={"sha256": (await asyncio.to_thread(hash_file, video))[0]})
    try:
        stored = await upload.storage.upload(video, upload.key)
    except HeliosError as exc:
        raise WorkerUnavailableError(f"{exc}\n  The video is finished, and lies in {video}") from exc
    video.unlink(missing_ok=True)
    return report.model_copy(update={"path": stored.url, "sha256": stored.sha256})


@task(name="merge", task_run_name="merge", persist_result=False, cache_policy=NO_CACHE)
async def merge(run: Run) -> State[None] | None:
    """Run the job's merge command in the job directory.

    Raises:
        CommandError: It failed.
        OutputError: A chunk's output was changed since it was accepted; the command has not run.
        HeliosError: As `WorkerAdapter.execute`.
    """
    run.task_states.begin()
    command = run.identity.job.merge
    assert command is not None  # noqa: S101  the flow merges where there is a merge command
    logger, stop = get_run_logger(), threading.Event()
    job = WorkerJob(
        command=command.argv[0],
        args=command.argv[1:],
        cwd=str(run.identity.job.directory.path),
        job_url=run.identity.job.source,
    )
    try:
        await asyncio.to_thread(check_accepted, _inputs(run.ledger), stop)
        logger.info("Merging with %s", command.argv[0])
        ended = await command.adapter.execute(job, on_output=lambda _stream, line: logger.debug("%s", line))
    except asyncio.CancelledError:
        stop.set()
        return Cancelled(message=run.control.stop_reason)
    if ended.exit_code != 0:
        raise CommandError(explain_exit(f"The merge command {command.argv[0]!r}", ended))
    return None
