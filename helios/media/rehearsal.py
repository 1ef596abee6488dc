"""Open a video's container and encoders for real, before the chunks are all rendered.

FFmpeg's lists of what a container can hold are wrong in places (VP9 in MOV), and say nothing of sampling rates and
channels. What the join would refuse after the last chunk is refused after the first.
"""

from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av

from helios.errors import RequestError
from helios.media.accepted_file import StitchInput
from helios.media.chunk_file import ChunkFile
from helios.media.first_frame import first_frame
from helios.media.joining import Join
from helios.media.sound_order import CHUNKS_OWN, SoundOrder
from helios.media.source_file import FromSource, open_source_file
from helios.media.write_errors import write_errors
from helios.models.delivery import NO_DELIVERY, Delivery


def rehearse(
    part: StitchInput,
    output: Path,
    *,
    fps: Fraction,
    order: SoundOrder = CHUNKS_OWN,
    delivery: Delivery = NO_DELIVERY,
    source: FromSource | None = None,
    temporary: Path,
) -> tuple[str, ...]:
    """Join the first frame of a chunk with a moment of silence, read the result back, and remove it.

    Args:
        part: A verified chunk.
        output: The video that is wanted.
        fps: Frames per second.
        order: The sound that is wanted.
        delivery: Fragments, brand and metadata.
        source: The file that the chunks are encoded from, for what the video takes of it.
        temporary: Where to write meanwhile, in the video's folder.

    Returns:
        What the video will lack of what the chunk says, as warnings.

    Raises:
        RequestError: No chunk of this kind can be joined into this video.
        WorkerUnavailableError: Nothing can be written there.
    """
    try:
        with ChunkFile(part.path, fps=fps, frames=part.frames) as chunk:
            what = f"{chunk.parameters.codec} video" + (f" with {sound}" if (sound := chunk.audio_parameters) else "")
            with (
                write_errors(output, what),
                open_source_file(source) as file,
                Join(
                    temporary,
                    output=output,
                    fps=fps,
                    first=part,
                    chunk=chunk,
                    order=order,
                    delivery=delivery,
                    source=file,
                ) as join,
            ):
                join.append_first_frame(chunk)
                join.finish()
        most = max(len(join.sound.tracks), 1)
        with ChunkFile(temporary, fps=fps, frames=1, most_sounds=most, timing=join.timing) as joined:
            next(joined.packets())
            join.check_said(joined, output=output)
        _check_shown(temporary, part.path, output=output, what=what)
        return tuple(join.warnings)
    finally:
        temporary.unlink(missing_ok=True)


def _check_shown(joined: Path, part: Path, *, output: Path, what: str) -> None:
    """Refuse a container in which a chunk's first picture is another one."""
    try:
        own = _first_picture(part)
    except (av.FFmpegError, ValueError):
        return  # this chunk is damaged, which says nothing of its kind
    with write_errors(output, what):
        if _first_picture(joined) != own:
            raise RequestError(
                f"{output.name} can't be made of these chunks: {what} shows other pictures in it; write another "
                "kind of file, or render the chunks with another codec"
            )


def _first_picture(path: Path) -> tuple[str, bytes]:
    """Format and content of the first frame. Uncompressed pictures in Matroska can be written and not read."""
    frame = first_frame(path)
    plane = frame.reformat(format="rgb24").planes[0]
    # Row by row: what lies between two rows is not defined. Not by numpy, which takes 0.1 s to import.
    rows, length = memoryview(plane), 3 * frame.width
    digest = sha256()
    for begin in range(0, frame.height * plane.line_size, plane.line_size):
        digest.update(rows[begin : begin + length])
    return frame.format.name, digest.digest()
