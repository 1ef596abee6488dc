"""The images that earlier runs have left: those on record, and those of a command that its run did not outlive."""

import asyncio

from prefect import get_run_logger

from helios.errors import HeliosError
from helios.models.images import PartialImages
from helios.models.report import ChunkResult
from helios.models.spec import RenderJobChunk
from tasks.encoding import encode_images
from tasks.image_places import ImagePlace, move_images
from tasks.images import complete, level_of, look
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_record import ChunkRecord
from tasks.run.run import Run


async def find_accepted_images(chunk: RenderJobChunk, run: Run, accepted: AcceptedChunks) -> bool:
    """Take the images of earlier runs that are on record and as they were; say whether that is the whole chunk."""
    whole = await _find_whole(chunk, run, accepted)
    images = await run.images.find(chunk) if whole is None else _partial(whole, run)
    if images is None:
        return False
    record, logger = run.ledger.records[chunk.id], get_run_logger()
    try:
        images = await _gather(record, run, images)
        if len(images.known) < chunk.frame_count:
            logger.info("%d of the %d images of chunk %d are kept", len(images.known), chunk.frame_count, chunk.id)
            return False
        if whole is not None and whole.images is not None and whole.verified.covers(run.identity.job.level):
            run.ledger.siblings.check_images_fit(f"chunk {chunk.id}", whole.images.kind)
            result = await encode_images(whole, chunk, run)
            record.packets = whole.artifact.sha256[:32]
            run.images.forget(chunk)
        else:
            result = await complete(record, run, None)
    except (HeliosError, OSError) as exc:
        logger.warning("Chunk %d is rendered again: %s", chunk.id, exc)
        run.images.forget(chunk)
        return False
    if result != whole:
        await accepted.write(chunk, result)
    return run.ledger.reuse_images(result)


async def _find_whole(chunk: RenderJobChunk, run: Run, accepted: AcceptedChunks) -> ChunkResult | None:
    found = await accepted.find(chunk)
    output = run.identity.job.directory.output(chunk.output_file)
    if found is None or found.images is None or found.artifact.url != output.as_uri():
        return None
    return await run.inputs.reconcile(chunk, found)


def _partial(whole: ChunkResult, run: Run) -> PartialImages:
    assert whole.images is not None  # noqa: S101  the caller has looked
    return PartialImages(
        chunk_id=whole.chunk_id,
        run_id=run.identity.run_id,
        verified=whole.verified,
        kind=whole.images.kind,
        known=whole.images.known,
    )


async def _gather(record: ChunkRecord, run: Run, images: PartialImages) -> PartialImages:
    """Keep the images on record that are as they were, and take what a command has left that its run did not outlive.

    Returns:
        What there is of the chunk now.
    """
    chunk = record.chunk
    final = ImagePlace.of_name(chunk, run, None)
    found = await look(final.folder, sorted(images.known), chunk, run, images, only_known=True)
    for frame in sorted(found.faults)[:1]:
        get_run_logger().warning("%s: it is rendered again", found.faults[frame])
    known = {frame: images.known[frame] for frame in found.whole}
    place = ImagePlace.of_name(chunk, run, images.folder)
    await _bring_left(chunk, run, place, images)
    asked = [] if images.asked is None else range(images.asked[0], sum(images.asked))
    is_sound = images.asked is not None and place.is_numbered_well(images.asked)
    rest = [frame for frame in asked if is_sound and frame not in known and place.has(frame)]
    await asyncio.to_thread(place.make_own, rest, run)
    left = await look(place.folder, rest, chunk, run, replace_known(images, {}))
    run.images.keep(chunk, replace_known(images, known))
    if left.whole:
        await move_images(place, left.whole, run)
    place.remove(run)
    kept = replace_known(images, known | left.whole).at_rest(
        kind=images.kind or left.kind, verified=level_of(run.identity.job.level)
    )
    if len(kept.known) == chunk.frame_count:
        run.images.keep(chunk, kept)
        return kept
    return await run.images.write(chunk, kept)


async def _bring_left(chunk: RenderJobChunk, run: Run, place: ImagePlace, images: PartialImages) -> None:
    """Fetch what a worker elsewhere has left; what can't be had is rendered."""
    if images.left_at is None:
        return
    try:
        run.outputs.make_folder(place.folder)
        await run.places.that_left(images.left_by).site.fetch_images(images.left_at, place.folder, place.pattern)
    except (HeliosError, OSError) as exc:
        get_run_logger().warning("What a worker has rendered of chunk %d can't be fetched: %s", chunk.id, exc)


def replace_known(images: PartialImages, known: dict[int, tuple[int, str]]) -> PartialImages:
    """The same record with other images."""
    return images.model_copy(update={"known": known})
