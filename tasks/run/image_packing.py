"""What goes into a cache of outputs: a chunk's file, or an archive of its images that is made for the moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from helios.job.held_path import held_path
from helios.job.image_archive import PackedImage, pack_images
from helios.models.report import ChunkResult
from helios.storage.output_cache import CacheEntry
from tasks.run.identity import RunIdentity


def content_of(entry: CacheEntry) -> str:
    """The digest that an accepted chunk has whose output is that of an entry."""
    return entry.sha256 if entry.images is None else entry.images.sha256


@asynccontextmanager
async def packed(
    result: ChunkResult, entry: CacheEntry, identity: RunIdentity
) -> AsyncIterator[tuple[CacheEntry, Path]]:
    """Have the file of an accepted output within the block, and its entry with that file's digest and size.

    Raises:
        OutputError: An image was changed since it was accepted.
        OSError: The archive can't be written beside the images.
    """
    if result.images is None:
        yield entry, result.path
        return
    root = identity.job.directory.path
    archive = identity.own_place(result.path, f"{result.chunk_id}-pack")
    known = result.images.known
    images = [PackedImage(frame, path, known[frame]) for frame, path in zip(known, result.files, strict=True)]
    try:
        with held_path(archive, root=root) as held:
            digest, size = await asyncio.to_thread(pack_images, images, held)
        yield entry.model_copy(update={"sha256": digest, "bytes": size}), archive
    finally:
        with suppress(OSError), held_path(archive, root=root) as held:
            held.unlink(missing_ok=True)
