"""Take the images of a chunk from the cache instead of rendering them."""

import asyncio
import time
from pathlib import Path

from prefect import get_run_logger

from helios.errors import HeliosError, OutputError
from helios.job.image_archive import unpack_images
from helios.media.verify_images import explain_images
from helios.models.images import PartialImages
from helios.models.report import ReusedFrom
from helios.models.spec import RenderJobChunk
from helios.storage.output_cache import CacheEntry
from tasks.image_places import ImagePlace, move_images
from tasks.images import complete, level_of, look
from tasks.run.run import Run


async def take_cached_images(chunk: RenderJobChunk, run: Run) -> bool:
    """Accept a chunk's images from the cache, if they are there, whole, verified, and of the sequence's kind."""
    identity, began = run.identity, time.monotonic()
    output = identity.job.directory.output(chunk.output_file)
    archive = identity.own_place(output, f"{chunk.id}-cached")
    place = ImagePlace.of(chunk, run, identity.own_place(output.with_name("images"), f"{chunk.id}-cached"))
    try:
        run.outputs.make_folder(place.folder)
        with run.outputs.held(archive) as held:
            if (entry := await run.cache.fetch(chunk, held)) is None:
                return False
        fetched = time.monotonic()
        images = await _unpack(archive, place, chunk, run, entry)
        await run.images.write(chunk, images)
        await move_images(place, images.known, run)
        result = await complete(run.ledger.records[chunk.id], run, None)
    except (HeliosError, OSError) as exc:
        get_run_logger().warning("Chunk %d is rendered, and not taken from the cache: %s", chunk.id, exc)
        run.images.forget(chunk)
        return False
    finally:
        run.outputs.remove(archive)
        place.remove(run)
    result = result.model_copy(update={
        "adapter": entry.adapter,
        "render_ms": entry.render_ms,
        "rendered_by": entry.rendered_by,
        "fetch_ms": round((fetched - began) * 1000),
        "verify_ms": round((time.monotonic() - fetched) * 1000),
    })  # fmt: skip
    return run.ledger.reuse_images(result, source=ReusedFrom.CACHE)


async def _unpack(
    archive: Path, place: ImagePlace, chunk: RenderJobChunk, run: Run, entry: CacheEntry
) -> PartialImages:
    """The images of an archive, in a folder of their own, verified as those of a command.

    Raises:
        OutputError: Some are not what was ordered.
    """
    if entry.images is None:
        raise OutputError("its entry is of a video")
    frames = range(chunk.start_frame, chunk.end_frame)
    names = {frame: place.pattern.name(frame) for frame in frames}
    with run.outputs.held(archive) as source, run.outputs.held(place.folder / archive.name) as inside:
        known = await asyncio.to_thread(unpack_images, source, inside.parent, names)
    is_of_kind = run.ledger.image_kind in (None, entry.images.kind)
    images = PartialImages(
        chunk_id=chunk.id,
        run_id=run.identity.run_id,
        verified=entry.verified,
        kind=entry.images.kind if is_of_kind else None,
        known=known if is_of_kind else {},
    )
    found = await look(place.folder, list(frames), chunk, run, images)
    if found.faults:
        raise OutputError(explain_images(place.pattern, frames, found, []))
    level = level_of(run.identity.job.level)
    return images.model_copy(update={"known": found.whole, "kind": found.kind, "verified": level})
