"""Join the accepted chunks: stitch them into one video, or run the job's own merge command."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from helios.errors import CommandError, HeliosError, OutputError, WorkerUnavailableError, file_system_error
from helios.job.held_join import animate_held, stitch_held
from helios.job.shell_signs import describe_signs
from helios.job.written_files import VIDEOS, WrittenFiles
from helios.low_priority import run_low
from helios.media.accepted_file import StitchInput, check_accepted
from helios.media.animation_kinds import is_animation, joined_name
from helios.media.bounds import joining_bounds, reading_bounds
from helios.media.merged_file import is_video, verify_merged
from helios.models.report import ChunkResult, OutputReport, path_of_url
from helios.models.worker import Artifact, WorkerJob
from helios.processes.command_output import explain_exit
from helios.processes.reader import run_apart
from tasks.encoding import remove_encoded
from tasks.run.ledger import Ledger
from tasks.run.making_way import make_way
from tasks.run.run import Run


@task(name="stitch", task_run_name="stitch", persist_result=False, cache_policy=NO_CACHE)
async def stitch(run: Run) -> OutputReport | State[None]:
    """Join the accepted outputs, in frame order, into the job's video.

    Raises:
        HeliosError: As `FfmpegStitcher.stitch`.
    """
    run.task_states.begin()
    job, logger = run.identity.job, get_run_logger()
    output = job.output
    assert output is not None  # noqa: S101  the flow stitches where an output is asked for
    inputs = _inputs(run.ledger)
    try:
        await asyncio.to_thread(run.companions.sweep)
        earlier = None if job.overwrites else make_way(output, run.outputs, logger)
    except OSError as exc:
        raise file_system_error(exc) from exc
    logger.info("Stitching %d chunks into %s", len(inputs), job.video_url or output)
    try:
        joined = run.identity.own_place(joined_name(output), "joined") if is_animation(output) else output
        report = await _stitch(run, joined, inputs)
        if report is not None and joined is not output:
            report = await _animate(run, joined, output, report)
    finally:
        if earlier is not None:
            with suppress(OSError):  # the log says where it is
                earlier.put_back()  # unless a video is there now
    if report is None:
        return Cancelled(message=run.control.stop_reason)
    for warning in report.warnings:
        logger.warning(warning)
    run.outputs.note(output)
    run.ledger.video = await _deliver(run, output, report)
    if job.spec.is_images:
        await asyncio.to_thread(remove_encoded, run)
    return run.ledger.video


async def _stitch(run: Run, output: Path, inputs: list[StitchInput]) -> OutputReport | None:
    """Stitch where that can be ended; None if the stitch was cancelled."""
    job, place = run.identity.job, run.identity.own_place(output, "stitch")
    metadata = job.spec.metadata
    sizes = [part.artifact.bytes for part in inputs if part.artifact is not None]
    bounds = joining_bounds(
        frames=sum(part.frames for part in inputs),
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        sizes=sizes,
    )
    try:
        return await run_apart(
            stitch_held,
            output,
            name=f"What {output.name} is joined from",
            bounds=bounds,
            lowered=0,
            root=job.directory.path,
            temporary=place,
            inputs=inputs,
            fps=metadata.fps,
            order=job.sound,
            sound=run.ledger.siblings.sound,
            delivery=job.delivery,
            source=job.from_source,
        )
    except asyncio.CancelledError:
        return None
    finally:
        run.outputs.remove(place)


async def _animate(run: Run, joined: Path, output: Path, report: OutputReport) -> OutputReport | None:
    """Encode an animation of the joined video, which is removed; None if that was cancelled."""
    job, temporary = run.identity.job, run.identity.own_place(output, "animation")
    metadata = job.spec.metadata
    try:
        return await run_apart(
            animate_held,
            joined,
            name=f"The video that {output.name} is made of",
            bounds=reading_bounds(frames=report.frames, width=metadata.width, height=metadata.height),
            lowered=0,
            root=job.directory.path,
            temporary=temporary,
            output=output,
            report=report,
            fps=metadata.fps,
        )
    except asyncio.CancelledError:
        return None
    finally:
        run.outputs.remove(joined)
        run.outputs.remove(temporary)


def _inputs(ledger: Ledger) -> list[StitchInput]:
    """The accepted outputs, in frame order, each with its recorded size and digest."""
    results = [record.result for record in ledger.ordered if record.result is not None]
    return [part for result in results for part in _parts(result)]


def _parts(result: ChunkResult) -> Iterator[StitchInput]:
    """A chunk's file; or the video of its images, and where there is none each image."""
    name = f"chunk {result.chunk_id}"
    if result.encoded is not None:
        yield StitchInput(path_of_url(result.encoded.url), result.frames, name, result.encoded)
    elif result.images is None:
        yield StitchInput(result.path, result.frames, name, result.artifact)
    else:
        for path, (size, sha256) in zip(result.files, result.images.digests, strict=True):
            yield StitchInput(path, 1, name, Artifact(url=path.as_uri(), bytes=size, sha256=sha256))


async def _deliver(run: Run, video: Path, report: OutputReport) -> OutputReport:
    """Complete the report of the finished video; a video that goes into storage is removed here once it is there.

    Raises:
        WorkerUnavailableError: The upload failed; says where the video is instead.
    """
    job = run.identity.job
    if job.upload is None:
        return report
    try:
        stored = await job.upload.storage.upload(video, job.upload.key, expected=report.sha256)
    except HeliosError as exc:
        raise WorkerUnavailableError(f"{exc}\n  The video is finished, and lies in {video}") from exc
    run.outputs.remove(video)
    return report.model_copy(update={"path": stored.url, "sha256": stored.sha256})


@task(name="merge", task_run_name="merge", persist_result=False, cache_policy=NO_CACHE)
async def merge(run: Run) -> State[None] | None:
    """Run the job's merge command in the job directory, and verify the video that it wrote, if that is found.

    Raises:
        CommandError: It failed.
        OutputError: What it wrote is not the job's video.
        OutputError: A chunk's output was changed since it was accepted, before the command ran or while it did.
        HeliosError: As `WorkerAdapter.execute`.
    """
    run.task_states.begin()
    command = run.identity.job.merge
    assert command is not None  # noqa: S101  the flow merges where there is a merge command
    logger, stop = get_run_logger(), threading.Event()
    job = WorkerJob(
        command=command.argv[0],
        args=command.argv[1:],
        cwd=str(run.identity.job.directory.base),
        job_dir=str(run.identity.job.directory.path),
        job_url=run.identity.job.source,
    )
    try:
        await asyncio.to_thread(run.companions.sweep)
        await asyncio.to_thread(check_accepted, _inputs(run.ledger), stop)
        files = await asyncio.to_thread(_watch, run, command.argv)
        logger.info("Merging with %s", command.argv[0])
        ended = await command.adapter.execute(job, on_output=lambda _stream, line: logger.debug("%s", line))
    except asyncio.CancelledError:
        stop.set()
        return Cancelled(message=run.control.stop_reason)
    if ended.exit_code != 0:
        signs = "".join(f"\n  {sign}" for sign in describe_signs(command.argv, run.identity.job.directory.base))
        raise CommandError(explain_exit(f"The merge command {command.argv[0]!r}", ended) + signs)
    try:
        # The command reads them by their names: that they are still what was accepted says that it had the right ones.
        await run_low(check_accepted, _inputs(run.ledger), may_be_gone=True)
        run.ledger.video = await _find_merged(run, files)
    except asyncio.CancelledError:
        return Cancelled(message=run.control.stop_reason)
    if run.ledger.video is None:
        logger.warning("The merge command ended well; no video was found that it wrote: its result is not verified")
    else:
        logger.info("Merged: %s, %d frames, verified", run.ledger.video.path, run.ledger.video.frames)
    return None


def _watch(run: Run, words: Sequence[str]) -> WrittenFiles:
    directory = run.identity.job.directory
    chunks = [path for chunk in run.identity.job.spec.chunks for path in directory.outputs(chunk)]
    return WrittenFiles(directory.path, words, cwd=directory.base, others=chunks)


async def _find_merged(run: Run, files: WrittenFiles) -> OutputReport | None:
    """The video that the merge command wrote, verified; None if there is none.

    Of several, one has to be the job's: the others may be previews, or parts.

    Raises:
        OutputError: None of them is.
    """
    job, refusal = run.identity.job, None
    frames = sum(part.frames for part in _inputs(run.ledger))
    metadata = job.spec.metadata
    bounds = reading_bounds(frames=frames, width=metadata.width, height=metadata.height)
    named = [
        path
        for path in await asyncio.to_thread(files.named)
        if path.suffix.lower() in VIDEOS or await run_apart(is_video, path, bounds=bounds)
    ]
    for path in [*named, *await asyncio.to_thread(files.videos)]:
        try:
            return await run_apart(
                verify_merged, path, frames=frames, fps=metadata.fps, chunks=len(run.ledger.records), bounds=bounds
            )
        except OutputError as exc:
            refusal = refusal or exc
    if refusal is not None:
        raise OutputError(
            f"The merge command ended well, but what it wrote is not the job's video: {refusal}. Mend the command, or "
            "leave it out and have the chunks joined here (--output FILE)"
        )
    return None
