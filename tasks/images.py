"""The life of a chunk of images: each image is verified, accepted, recorded and reused by itself."""

import asyncio
import hashlib
import time
from pathlib import Path

from prefect import get_run_logger

from helios.errors import CommandError, HeliosError, MisfitError, OutputError
from helios.media.bounds import reading_bounds
from helios.media.verify_images import FoundImages, ImageOrder, explain_images, take_pictures, verify_images
from helios.models.image_pattern import ImagePattern
from helios.models.images import AcceptedImages, PartialImages
from helios.models.report import ChunkResult
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact, WorkerResult
from helios.processes.command_output import explain_exit
from helios.processes.reader import run_apart
from tasks.attempt import describe, execute
from tasks.encoding import encode_images
from tasks.image_places import ImagePlace, clear_places, move_images
from tasks.request.prepared_places import PreparedPlace
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.run import Run

MOST_PARTS = 8
"""Gaps between accepted images for which a command is run each; with more of them, one renders all between."""


async def render_images(
    record: ChunkRecord, run: Run, times: AttemptTimes, *, at: PreparedPlace, log: Path
) -> ChunkResult:
    """Have the images rendered that a chunk lacks, and accept the chunk once it has all.

    Args:
        record: The chunk's.
        run: The job's run.
        times: Gets the times of what happens.
        at: Where they are rendered.
        log: The file for what commands print.

    Raises:
        HeliosError: Images are missing. Those that are whole were accepted.
    """
    chunk, ended, verifying = record.chunk, None, 0.0
    for part in missing_parts(run, chunk):
        ended = await _render_part(record, run, times, at=at, part=part, log=log)
        began = time.monotonic()
        await _accept_part(record, run, ended, part=part)
        verifying += time.monotonic() - began
    began = time.monotonic()
    result = await complete(record, run, ended)
    return result.model_copy(update={
        "render_ms": times.render_ms or 0,
        "verify_ms": round((verifying + time.monotonic() - began) * 1000),
    })  # fmt: skip


def missing_parts(run: Run, chunk: RenderJobChunk) -> list[tuple[int, int]]:
    """What is asked of a chunk's command, as first frames and numbers of frames; all, where it takes no other range."""
    known = run.images.of(chunk).known
    missing = [frame for frame in range(chunk.start_frame, chunk.end_frame) if frame not in known]
    if not missing:
        return []
    if run.identity.job.spec.range_command is None:
        return [(chunk.start_frame, chunk.frame_count)]
    parts: list[tuple[int, int]] = []
    for frame in missing:
        if parts and frame == sum(parts[-1]):
            parts[-1] = (parts[-1][0], parts[-1][1] + 1)
        else:
            parts.append((frame, 1))
    return parts if len(parts) <= MOST_PARTS else [(missing[0], missing[-1] - missing[0] + 1)]


async def _render_part(
    record: ChunkRecord, run: Run, times: AttemptTimes, *, at: PreparedPlace, part: tuple[int, int], log: Path
) -> WorkerResult:
    """Run a command for some frames. If it fails, what it has left is looked through all the same.

    Raises:
        HeliosError: It failed.
    """
    chunk, clock = record.chunk, run.progress
    is_whole = part == (chunk.start_frame, chunk.frame_count)
    attempt = describe(
        record, run, number=record.attempts, name=f"{record.attempts}-{part[0]}", part=None if is_whole else part
    )
    order = await at.site.order(attempt)
    images = run.images.of(chunk)
    place = ImagePlace.of(chunk, run, order.place)
    clear_places(place, range(part[0], sum(part)), kept=images.known, run=run)
    asked = {"folder": place.own_name, "left_at": order.left_at, "left_by": times.place, "asked": part}
    await run.images.write(chunk, images.model_copy(update=asked))
    try:
        times.started = times.started or clock.seconds
        ended = await execute(attempt, order.job, run, at=at, log=log, times=times)
        times.answer(clock.seconds, ended)
        if ended.exit_code != 0:
            raise CommandError(explain_exit(Path(order.job.command).name, ended))
        await bring_images(chunk, run, place, ended)
    except (HeliosError, OSError) as exc:
        if isinstance(exc, HeliosError):
            times.fail(exc)
        await _rescue(record, run, part=part)
        raise
    return ended


async def _rescue(record: ChunkRecord, run: Run, *, part: tuple[int, int]) -> None:
    """Accept what a command that failed has rendered before. What is not whole is rendered again."""
    chunk = record.chunk
    try:
        images = run.images.of(chunk)
        place = ImagePlace.of_name(chunk, run, images.folder)
        await bring_images(chunk, run, place)
        asked = range(part[0], sum(part)) if place.is_numbered_well(part) else ()
        written = [frame for frame in asked if frame not in images.known and place.has(frame)]
        await asyncio.to_thread(place.make_own, written, run)
        found = await look(place.folder, written, chunk, run, images)
        await _take(record, run, place, found)
        place.remove(run)
        if found.whole:
            get_run_logger().info("%d images are kept of this attempt", len(found.whole))
    except (HeliosError, OSError) as exc:
        get_run_logger().warning("What the attempt has rendered can't be kept: %s", exc)


async def bring_images(chunk: RenderJobChunk, run: Run, place: ImagePlace, ended: WorkerResult | None = None) -> None:
    """Fetch what a worker elsewhere has rendered; of one that failed, or was not waited for, whatever it has left.

    Raises:
        OutputError: The worker names none.
        WorkerUnavailableError: They can't be fetched.
    """
    images = run.images.of(chunk)
    if (left_at := images.left_at) is not None:
        if ended is not None and ended.images is None:
            raise OutputError(
                "the worker answered that it rendered, and named no images in storage: is it of an earlier version? "
                "Deploy this version's worker (deploy/)"
            )
        delivered = None if ended is None else ended.images
        site = run.places.that_left(images.left_by).site
        await site.fetch_images(left_at, place.folder, place.pattern, delivered=delivered)


async def _accept_part(record: ChunkRecord, run: Run, ended: WorkerResult, *, part: tuple[int, int]) -> None:
    """Verify what a command has rendered that ended well, and accept the images that are as ordered.

    Raises:
        OutputError: Some are not.
    """
    chunk, frames = record.chunk, range(part[0], sum(part))
    images = run.images.of(chunk)
    place = ImagePlace.of_name(chunk, run, images.folder)
    try:
        numbered, others = place.other_images(frames)
        await asyncio.to_thread(place.make_own, frames, run)
        found = await look(place.folder, list(frames), chunk, run, _as_delivered(images, ended, run))
        # With numbers of its own, no image of the command is known to be the frame whose number it has.
        await _take(record, run, place, FoundImages() if numbered else found)
        if found.faults or numbered:
            raise OutputError(explain_images(place.pattern, frames, found, numbered or others))
        place.keep_others(run)
    except (HeliosError, OSError):
        place.remove(run)
        raise
    place.remove(run)  # and not after a cancel: the next run takes the images out of it


def _as_delivered(images: PartialImages, ended: WorkerResult, run: Run) -> PartialImages:
    """What need not be decoded again: images as their worker has verified them, if they are of the sequence's kind."""
    delivered, kind = ended.images, run.ledger.siblings.image_kind or images.kind
    if delivered is None or ended.verified is None or delivered.kind is None or kind not in (None, delivered.kind):
        return images
    return images.model_copy(update={"known": delivered.known, "kind": delivered.kind, "verified": ended.verified})


async def look(
    folder: Path, frames: list[int], chunk: RenderJobChunk, run: Run, images: PartialImages, *, only_known: bool = False
) -> FoundImages:
    """Read images in a process of its own; those on record are decoded if the level is higher than that of then."""
    job = run.identity.job
    metadata = job.spec.metadata
    is_verified = images.verified.covers(level_of(job.level))
    found = await run_apart(
        verify_images,
        folder,
        frames,
        bounds=reading_bounds(frames=max(len(frames), 1), width=metadata.width, height=metadata.height),
        order=_order(chunk, run),
        known=images.known if is_verified else {},
        kind=run.ledger.siblings.image_kind or images.kind,
        decode=job.level.covers(VerifyLevel.DECODE),
        only_known=only_known and is_verified,
    )
    if only_known and not is_verified:
        found.whole = {frame: known for frame, known in found.whole.items() if images.known.get(frame) == known}
    return found


async def _take(record: ChunkRecord, run: Run, place: ImagePlace, found: FoundImages) -> None:
    """Give images their names, once they are on record."""
    chunk, images = record.chunk, run.images.of(record.chunk)
    if found.whole:
        record.images_rendered |= set(found.whole)
        known = images.known | found.whole
        level = level_of(run.identity.job.level)
        images = await run.images.write(
            chunk, images.model_copy(update={"known": known, "kind": found.kind, "verified": level})
        )
        await move_images(place, found.whole, run)
    await run.images.write(chunk, images.at_rest())


async def complete(record: ChunkRecord, run: Run, ended: WorkerResult | None) -> ChunkResult:
    """The result of a chunk all of whose images are accepted; with its video, where one is to be joined.

    Raises:
        OutputError: Its images don't fit those of other chunks, or can't be read any more.
    """
    chunk, job, images = record.chunk, run.identity.job, run.images.of(record.chunk)
    if images.kind is None or len(images.known) != chunk.frame_count:
        raise OutputError(f"{len(images.known)} of {chunk.frame_count} images were rendered; expected all")
    try:
        run.ledger.siblings.check_images_fit(f"chunk {chunk.id}", images.kind)
    except MisfitError:
        run.images.forget(chunk)  # another attempt is to render all of them
        raise
    digests = tuple(images.known[frame] for frame in sorted(images.known))
    accepted = AcceptedImages(kind=images.kind, first=chunk.start_frame, digests=digests)
    digest = hashlib.sha256("".join(f"{sha256}\n" for _, sha256 in digests).encode()).hexdigest()
    output = job.directory.output(chunk.output_file)
    pictures = None
    if job.level.covers(VerifyLevel.PICTURES):
        metadata = job.spec.metadata
        bounds = reading_bounds(frames=chunk.frame_count, width=metadata.width, height=metadata.height)
        paths = job.directory.outputs(chunk)
        pictures = await run_apart(take_pictures, paths, name=output.name, bounds=bounds, order=_order(chunk, run))
    record.packets = digest[:32]
    result = ChunkResult(
        run_id=run.identity.run_id,
        chunk_id=chunk.id,
        artifact=Artifact(url=output.as_uri(), bytes=sum(size for size, _ in digests), sha256=digest),
        frames=chunk.frame_count,
        codec=_pattern(chunk).codec,
        attempt=max(record.attempts, 1),
        adapter=job.place(record.place).adapter_name,
        render_ms=0,
        verified=job.level,
        pictures=pictures,
        verify_ms=0,
        worker=ended.timings if ended else None,
        rendered_by=ended.rendered_by if ended else None,
        inputs=run.inputs.digest_of(chunk),
        input_list=run.inputs.list_key,
        images=accepted,
    )
    result = await encode_images(result, chunk, run)
    run.images.forget(chunk)
    return result


def level_of(level: VerifyLevel) -> VerifyLevel:
    """What a single image can be verified for: pictures are judged beside others."""
    return VerifyLevel.DECODE if level is VerifyLevel.PICTURES else level


def _pattern(chunk: RenderJobChunk) -> ImagePattern:
    assert chunk.images is not None  # noqa: S101  the caller has chosen by it
    return chunk.images


def _order(chunk: RenderJobChunk, run: Run) -> ImageOrder:
    metadata = run.identity.job.spec.metadata
    return ImageOrder(_pattern(chunk), metadata.width, metadata.height)
