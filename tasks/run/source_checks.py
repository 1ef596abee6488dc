"""Warnings about encoded chunks, from what their commands found when they held them against their source."""

from collections.abc import Iterable, Iterator

from helios.models.pictures import PictureFault, PictureFinding
from tasks.run.chunk_record import ChunkRecord


def unlike_sources(records: Iterable[ChunkRecord]) -> Iterator[PictureFinding]:
    """Chunks that have frames which look like a neighbour of their own picture."""
    for record in records:
        quality, chunk = record.result and record.result.quality, record.chunk
        if not quality or quality.unlike_frame is None or quality.looks_like is None:
            continue
        if max(quality.unlike_frame, quality.looks_like) >= chunk.frame_count:
            continue  # the command of another program said so
        frame, like = (chunk.start_frame + number for number in (quality.unlike_frame, quality.looks_like))
        count = f"; {quality.unlike_frames} frames of the chunk do so" if quality.unlike_frames > 1 else ""
        yield PictureFinding(
            kind=PictureFault.SOURCE,
            chunk_id=chunk.id,
            frame=frame,
            other_chunk_id=chunk.id,
            other_frame=like,
            message=(
                f"frame {frame} (chunk {chunk.id}) looks more like the source's picture {like} than like its own"
                f"{count}: the encoder may have left out a change; a slower preset keeps it"
            ),
        )
