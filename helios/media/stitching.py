"""Join chunk outputs into one video, frame for frame, without encoding the video again.

Time stamps are computed, not copied: packet n of the joined stream is frame n at n / fps seconds. Copied
ones drift, since containers round the durations of chunks (133 ms over 200 chunks at 60 fps with FFmpeg's
concat demuxer).
"""

import hashlib
import os
import uuid
from collections.abc import Generator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from helios.errors import OutputError
from helios.media.accepted_file import StitchInput, open_in_turn
from helios.media.chunk_file import ChunkFile
from helios.media.containers import container_of
from helios.media.joining import Join
from helios.media.parameters import AudioParameters
from helios.media.sound_order import CHUNKS_OWN, SoundOrder
from helios.media.source_file import FromSource, open_source_file
from helios.media.write_errors import write_errors
from helios.models.delivery import NO_DELIVERY, Delivery
from helios.models.report import OutputReport

__all__ = ["FfmpegStitcher", "StitchInput", "publish"]


class FfmpegStitcher:
    """Joins chunk outputs by FFmpeg's libraries: remuxes the video, encodes the sound once.

    Blocking, without a way to stop it: call it in a process that can be ended (`helios.processes.reader`).
    """

    def stitch(
        self,
        inputs: Sequence[StitchInput],
        output: Path,
        *,
        fps: Fraction,
        order: SoundOrder = CHUNKS_OWN,
        sound: AudioParameters | None = None,
        delivery: Delivery = NO_DELIVERY,
        source: FromSource | None = None,
        temporary: Path | None = None,
    ) -> OutputReport:
        """Write the inputs, in their order, into `output`.

        The output appears under its name when it is whole and verified, and not before.

        Args:
            inputs: At least one.
            output: Replaced if it exists.
            fps: Frames per second, exact.
            order: Where the sound comes from, and how it is written; by default the chunks' own.
            sound: Format of the chunks' own sound, for chunks of which the first has none.
            delivery: Fragments, brand and metadata.
            source: The file that the chunks are encoded from, for what the video takes of it.
            temporary: Where it is written before it is whole, in the output's folder; by default a name made up.

        Raises:
            OutputError: A chunk is damaged, has another number of frames, does not fit the first, or was changed since
                it was accepted.
            RequestError: The container or the sound can't be used.
            WorkerUnavailableError: The output can't be written.
        """
        container_of(output)
        order.check(output)
        frames = sum(chunk.frames for chunk in inputs)
        temporary = temporary or output.with_name(f".{output.stem[:64]}.{uuid.uuid4().hex[:12]}{output.suffix}")
        try:
            with write_errors(output, "one of them"), open_source_file(source) as file:
                join = _write(
                    inputs, temporary, output=output, fps=fps, order=order, sound=sound, delivery=delivery, source=file
                )
            audio_codec = _verify(temporary, join, frames=frames, output=output)
            with write_errors(output, "the whole"):
                digest, size = publish(temporary, output.name)
        finally:
            temporary.unlink(missing_ok=True)
        return OutputReport(
            path=str(output),
            frames=frames,
            duration_seconds=float(join.timing.seconds(frames)),
            bytes=size,
            sha256=digest,
            audio_codec=audio_codec,
            warnings=tuple(join.warnings),
        )


def _write(inputs: Sequence[StitchInput], path: Path, *, fps: Fraction, **order: Any) -> Join:
    """Write the inputs into a file; `order` has the other arguments of `Join`."""
    with closing(_chunks(inputs, fps=fps)) as chunks:
        first, chunk = next(chunks)
        with Join(path, fps=fps, first=first, chunk=chunk, **order) as join:
            join.append(first, chunk)
            for part, chunk in chunks:
                join.append(part, chunk)
            join.finish()
    return join


def _chunks(inputs: Sequence[StitchInput], *, fps: Fraction) -> Generator[tuple[StitchInput, ChunkFile], None, None]:
    """Open every chunk once, in order; after its packets were read, make sure that it was not changed meanwhile."""
    with closing(open_in_turn(inputs)) as opened:
        for part, accepted in opened:
            # All pictures of a file on record were decoded when it was accepted, and compared with its siblings'.
            decode = part is inputs[0] or part.artifact is None
            with ChunkFile(part.path, fps=fps, frames=part.frames, file=accepted.file, decode=decode) as chunk:
                yield part, chunk
            accepted.check_unchanged()


def _verify(path: Path, join: Join, *, frames: int, output: Path) -> str | None:
    """Read the joined file from the start, as any player does; return the codec of its first sound track."""
    expected = len(join.sound.tracks)
    with ChunkFile(path, fps=join.fps, frames=frames, most_sounds=max(expected, 1), timing=join.timing) as joined:
        for _ in joined.packets():
            pass
        if len(joined.sounds) != expected:
            raise OutputError(f"{path.name} has {len(joined.sounds)} sound tracks; expected {expected}")
        join.check_said(joined, output=output)
        return joined.audio_parameters.codec if joined.audio_parameters else None


def publish(temporary: Path, name: str) -> tuple[str, int]:
    """Write the finished file to disk, then give it its name; return its digest and its size."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    temporary.replace(temporary.with_name(name))
    return digest, size
