"""The second render of a chunk of images: into a folder of its own, compared image by image, and removed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from helios.errors import CommandError, HeliosError, OutputError
from helios.media.bounds import reading_bounds
from helios.media.comparison import Comparison
from helios.media.image_comparison import ImagePair, compare_images
from helios.media.verify_images import FoundImages, explain_images
from helios.models.images import PartialImages
from helios.models.report import ChunkResult
from helios.models.worker import WorkerResult
from helios.processes.command_output import explain_exit
from helios.processes.reader import run_apart
from tasks.attempt import execute
from tasks.image_places import ImagePlace
from tasks.images import look
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.run import Run
from tasks.site import Attempt


@asynccontextmanager
async def images_again(
    attempt: Attempt, run: Run, *, log: Path, times: AttemptTimes
) -> AsyncIterator[tuple[ImagePlace, WorkerResult]]:
    """Render a chunk's images a second time; within the block they are in their folder.

    Args:
        attempt: What is rendered; its command writes where it is told to.
        run: The job's run.
        log: The file for what the command prints.
        times: Gets the times of what happens.

    Raises:
        HeliosError: There are none.
    """
    order = await run.site.order(attempt)
    place = ImagePlace.of(attempt.chunk, run, order.place)
    if place.own_name is None:
        raise OutputError("the command does not write where it is told to, and would replace the accepted images")
    run.outputs.make_folder(place.folder)
    try:
        times.started = run.progress.seconds
        ended = await execute(attempt, order.job, run, log=log, times=times)
        times.answer(run.progress.seconds, ended)
        if ended.exit_code != 0:
            raise CommandError(explain_exit(Path(order.job.command).name, ended))
        if order.left_at is not None:
            if ended.images is None:
                raise OutputError("the worker named no images in storage: is it of an earlier version?")
            await run.site.fetch_images(order.left_at, place.folder, place.pattern, delivered=ended.images)
        yield place, ended
    except HeliosError as exc:
        times.fail(exc)
        raise
    finally:
        place.remove(run)


async def compare_with_accepted(accepted: ChunkResult, place: ImagePlace, chunk: ChunkRecord, run: Run) -> Comparison:
    """Verify a second render's images, and compare each with the accepted one of its frame.

    Raises:
        OutputError: One is not what was ordered, or the accepted one was changed.
    """
    frames = range(chunk.chunk.start_frame, chunk.chunk.end_frame)
    numbered, others = place.other_images(frames)
    found: FoundImages = await look(
        place.folder, list(frames), chunk.chunk, run, PartialImages(chunk_id=chunk.chunk.id, run_id=accepted.run_id)
    )
    if found.faults or numbered:
        raise OutputError(explain_images(place.pattern, frames, found, numbered or others))
    assert accepted.images is not None  # noqa: S101  the caller has looked
    known, metadata = accepted.images.known, run.identity.job.spec.metadata
    pairs = [
        ImagePair(path, known[frame], place.folder / place.pattern.name(frame))
        for frame, path in zip(known, accepted.files, strict=True)
    ]
    if all(found.whole[frame] == known[frame] for frame in known):
        return Comparison()
    return await run_apart(
        compare_images,
        pairs,
        name=f"The images of chunk {chunk.chunk.id}",
        bounds=reading_bounds(frames=2 * len(pairs), width=metadata.width, height=metadata.height),
        codec=place.pattern.codec,
        least_psnr=run.identity.job.audit.least_psnr,
    )
