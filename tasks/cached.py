"""Take a chunk's output from the cache instead of rendering the chunk."""

import time
from contextlib import suppress

from prefect import get_run_logger

from helios.errors import HeliosError
from helios.models.report import ChunkResult, ReusedFrom
from helios.models.spec import RenderJobChunk
from helios.models.worker import Artifact
from tasks.cached_images import take_cached_images
from tasks.candidate import verify
from tasks.run.making_way import make_way
from tasks.run.run import Run


async def take_cached(chunk: RenderJobChunk, run: Run) -> bool:
    """Accept a chunk's output from the cache, if it is there, whole, verified, and fits its siblings."""
    if chunk.images is not None:
        return await take_cached_images(chunk, run)
    identity, began = run.identity, time.monotonic()
    output = identity.job.directory.output(chunk.output_file)
    place = identity.place(output, f"{chunk.id}-cached")
    try:
        run.outputs.make_folder(output.parent)
        with run.outputs.held(place) as held:
            if (entry := await run.cache.fetch(chunk, held)) is None:
                return False
        fetched = time.monotonic()
        verified = await verify(place, chunk, run, done=entry.verified, pictures=entry.pictures)
        run.ledger.check_fits(f"chunk {chunk.id} (from the cache; --fresh renders it anew)", verified)
        make_way(output, run.outputs, get_run_logger())
        with run.outputs.held(place) as held:
            held.replace(held.with_name(output.name))
        run.outputs.note(output)
    except (HeliosError, OSError) as exc:
        get_run_logger().warning("Chunk %d is rendered, and not taken from the cache: %s", chunk.id, exc)
        return False
    finally:
        with suppress(OSError), run.outputs.held(place) as held:
            held.unlink(missing_ok=True)
    result = ChunkResult(
        run_id=identity.run_id,
        chunk_id=chunk.id,
        artifact=Artifact(url=output.as_uri(), bytes=verified.bytes, sha256=verified.sha256),
        frames=verified.frames,
        codec=verified.video.codec,
        attempt=1,
        adapter=entry.adapter,
        render_ms=entry.render_ms,
        verified=verified.level,
        pictures=verified.pictures,
        verify_ms=round((time.monotonic() - fetched) * 1000),
        fetch_ms=round((fetched - began) * 1000),
        rendered_by=entry.rendered_by,
        quality=entry.quality,
        inputs=run.inputs.digest_of(chunk),
        input_list=run.inputs.list_key,
    )
    return run.ledger.reuse(result, verified, source=ReusedFrom.CACHE)
