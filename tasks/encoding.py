"""Encode the accepted images of a chunk to the video from which the job's video is joined.

JOB DIRECTORY/.helios/encoded/JOB/chunk-7-SETTINGS.mp4     removed once the job's video is there
"""

import shutil
from contextlib import suppress
from pathlib import Path

from helios.errors import HeliosError
from helios.job.held_join import encode_held
from helios.media.bounds import reading_bounds
from helios.media.image_encoding import VideoOrder
from helios.media.verify import VerifiedOutput, verify_output
from helios.media.verify_images import ImageOrder
from helios.models.paths import OWN_FOLDER
from helios.models.report import ChunkResult
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact
from helios.processes.reader import run_apart
from tasks.rehearsing import rehearse_join
from tasks.request.images import video_order
from tasks.run.run import Run

FOLDER = f"{OWN_FOLDER}/encoded"


async def encode_images(result: ChunkResult, chunk: RenderJobChunk, run: Run) -> ChunkResult:
    """The result with a video of its images, which fits those of other chunks; unchanged where none is asked for.

    Raises:
        OutputError: An image was changed since it was accepted.
        RequestError: The images can't be encoded so, or not joined into the wanted video.
    """
    output = run.identity.job.output
    if output is None or result.images is None or chunk.images is None:
        return result
    order = video_order(run.identity.job.spec, output.name)
    place = _folder(run) / f"chunk-{chunk.id}-{order.digest}{order.suffix}"
    if result.encoded is not None and result.encoded.url == place.as_uri():
        with suppress(HeliosError, OSError):
            found = await _look(place, chunk, run)
            if (found.bytes, found.sha256) == (result.encoded.bytes, result.encoded.sha256):
                await _check_fits(found, place, chunk, run)
                return result
    own = run.identity.own_place(place, f"{chunk.id}-encode")
    try:
        await _encode(result, chunk, run, order=order, place=own)
        found = await _look(own, chunk, run)
        await _check_fits(found, own, chunk, run)
        with run.outputs.held(own) as held:
            held.replace(held.with_name(place.name))
    except BaseException:
        run.outputs.remove(own)
        raise
    return result.model_copy(update={"encoded": Artifact(url=place.as_uri(), bytes=found.bytes, sha256=found.sha256)})


def remove_encoded(run: Run) -> None:
    """Remove the chunks' videos, once the job's is there."""
    folder = _folder(run)
    with suppress(OSError), run.outputs.held(folder) as held:
        shutil.rmtree(held)
    with suppress(OSError), run.outputs.held(folder.parent) as held:
        held.rmdir()  # unless another job has videos there


def _folder(run: Run) -> Path:
    return run.identity.job.directory.path / FOLDER / run.identity.key


async def _encode(result: ChunkResult, chunk: RenderJobChunk, run: Run, *, order: VideoOrder, place: Path) -> None:
    assert result.images is not None and chunk.images is not None  # noqa: PT018, S101  the caller has looked
    job = run.identity.job
    metadata = job.spec.metadata
    await run_apart(
        encode_held,
        place,
        name=f"The video of chunk {chunk.id}",
        bounds=reading_bounds(frames=chunk.frame_count, width=metadata.width, height=metadata.height),
        root=job.directory.path,
        paths=result.files,
        known=result.images.digests,
        kind=result.images.kind,
        images=ImageOrder(chunk.images, metadata.width, metadata.height),
        order=order,
    )


async def _look(place: Path, chunk: RenderJobChunk, run: Run) -> VerifiedOutput:
    """A chunk's video, which this program has encoded: its frames are counted, and not decoded."""
    metadata = run.identity.job.spec.metadata
    return await run_apart(
        verify_output,
        place,
        bounds=reading_bounds(frames=chunk.frame_count, width=metadata.width, height=metadata.height),
        frames=chunk.frame_count,
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        level=VerifyLevel.CONTAINER,
    )


async def _check_fits(found: VerifiedOutput, place: Path, chunk: RenderJobChunk, run: Run) -> None:
    run.ledger.siblings.check_fits(f"the video of chunk {chunk.id}", found)
    if run.ledger.siblings.is_rehearsal_due:
        await rehearse_join(place, chunk, run)
