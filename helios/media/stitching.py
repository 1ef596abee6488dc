"""Join chunk outputs into one video, frame for frame, without encoding the video again.

Time stamps are computed, not copied: packet n of the joined stream is frame n at n / fps seconds. Copied
ones drift, since containers round the durations of chunks (133 ms over 200 chunks at 60 fps with FFmpeg's
concat demuxer).
"""

import errno
import os
import threading
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from helios.errors import ExpectedError, HeliosError, OutputError, RequestError, WorkerUnavailableError
from helios.media.accepted_file import StitchInput, open_in_turn
from helios.media.chunk_file import ChunkFile
from helios.media.containers import check_container, container_of
from helios.media.parameters import AudioParameters, VideoParameters
from helios.media.soundtrack import Soundtrack, open_sound
from helios.models.report import OutputReport

__all__ = ["FfmpegStitcher", "StitchCancelledError", "StitchInput", "VideoStitcher", "check_sound"]


class StitchCancelledError(ExpectedError):
    """The stitch was asked to stop before its end."""


class VideoStitcher(Protocol):
    """Joins chunk outputs. Blocking: call it in a thread."""

    def stitch(
        self,
        inputs: Sequence[StitchInput],
        output: Path,
        *,
        fps: Fraction,
        audio_file: Path | None = None,
        temporary: Path | None = None,
        stop: threading.Event | None = None,
    ) -> OutputReport:
        """Write the inputs, in their order, into `output`.

        The output appears under its name when it is whole and verified, and not before.

        Args:
            inputs: At least one.
            output: Replaced if it exists.
            fps: Frames per second, exact.
            audio_file: The sound track; without it, the chunks' own PCM sound is taken.
            temporary: Where it is written before it is whole, in the output's folder; by default a name made up.
            stop: Set by another thread to end the stitch early.

        Raises:
            OutputError: A chunk is damaged, has another number of frames, does not fit the first, or was changed since
                it was accepted.
            RequestError: The container or the sound can't be used.
            WorkerUnavailableError: The output can't be written.
            StitchCancelledError: `stop` was set.
        """
        ...


def check_sound(sound: AudioParameters | None) -> None:
    """Refuse chunks whose own sound can't be joined.

    Raises:
        RequestError: It is compressed: each piece begins and ends with the coder's padding (24 ms of AAC).
    """
    if sound is not None and not sound.is_pcm:
        raise RequestError(
            f"The chunks' sound is {sound.codec}, which can't be joined without gaps; render chunks with "
            "PCM sound (--audio-codec pcm_s16le) or without sound, and give it as one file (--audio)"
        )


class FfmpegStitcher:
    """A `VideoStitcher` on FFmpeg's libraries: remuxes the video, encodes the sound once."""

    def stitch(  # noqa: D102  the contract is on VideoStitcher
        self,
        inputs: Sequence[StitchInput],
        output: Path,
        *,
        fps: Fraction,
        audio_file: Path | None = None,
        temporary: Path | None = None,
        stop: threading.Event | None = None,
    ) -> OutputReport:
        container_of(output)
        frames = sum(chunk.frames for chunk in inputs)
        temporary = temporary or output.with_name(f".{output.stem[:64]}.{uuid.uuid4().hex[:12]}{output.suffix}")
        try:
            with _write_errors(output), closing(_chunks(inputs, fps=fps, stop=stop, output=output)) as chunks:
                first, chunk = next(chunks)
                join = _Join(temporary, output=output, fps=fps, first=first, chunk=chunk, audio_file=audio_file)
                with join:
                    join.append(first, chunk)
                    for part, chunk in chunks:
                        join.append(part, chunk)
                    join.finish()
            audio_codec = _verify(temporary, frames=frames, fps=fps, sound=join.soundtrack is not None)
            with _write_errors(output):
                size = _publish(temporary, output)
        finally:
            temporary.unlink(missing_ok=True)
        return OutputReport(
            path=str(output),
            frames=frames,
            duration_seconds=float(frames / fps),
            bytes=size,
            audio_codec=audio_codec,
            warnings=tuple(join.warnings),
        )


def _chunks(
    inputs: Sequence[StitchInput], *, fps: Fraction, stop: threading.Event | None, output: Path
) -> Generator[tuple[StitchInput, ChunkFile], None, None]:
    """Open every chunk once, in order; after its packets were read, make sure that it was not changed meanwhile."""
    with closing(open_in_turn(inputs)) as opened:
        for part, accepted in opened:
            if stop is not None and stop.is_set():
                raise StitchCancelledError(f"Stitching {output.name} was stopped")
            with ChunkFile(part.path, fps=fps, frames=part.frames, file=accepted.file) as chunk:
                yield part, chunk
            accepted.check_unchanged()


class _Join:
    """One output being written, and where its next frame and its next sample go."""

    def __init__(
        self,
        path: Path,
        *,
        output: Path,
        fps: Fraction,
        first: StitchInput,
        chunk: ChunkFile,
        audio_file: Path | None,
    ) -> None:
        self._fps = fps
        self._tick = 1 / fps
        self._frames = 0
        self._first = first
        self.warnings: list[str] = []
        self.soundtrack: Soundtrack | None = None
        self._sound_file: InputContainer | None = None
        self._sound_frames: Iterator[AudioFrame] = iter(())
        name, sound_encoder = container_of(path)
        check_container(output, chunk.parameters.codec)
        self._parameters: VideoParameters = chunk.parameters
        self._sound: AudioParameters | None = chunk.audio_parameters
        # Frames by which decoding runs ahead of showing, with B-frames.
        self._reorder = chunk.video.codec_context.reorder_depth
        self._output: OutputContainer = av.open(str(path.absolute()), "w", format=name)
        try:
            self._video: VideoStream = self._output.add_stream_from_template(chunk.video, opaque=True)
            self._video.time_base = self._tick
            self._add_sound(audio_file, sound_encoder)
            self._output.start_encoding()
        except BaseException:
            self._output.close()
            raise

    def __enter__(self) -> "_Join":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._sound_file is not None:
            self._sound_file.close()
        # After a failure, closing may fail for the same reason, which would hide the first error.
        with suppress(OSError) if kind else nullcontext():
            self._output.close()

    def append(self, part: StitchInput, chunk: ChunkFile) -> None:
        """Append one chunk."""
        self._check_fits(chunk, part)
        end = self._samples_at(self._frames + part.frames)
        decoded, tick = 0, self._tick
        for packet, index in chunk.packets():
            if index is None:
                if self.soundtrack is not None and self._sound_file is None:
                    for frame in packet.decode():
                        self.soundtrack.feed(cast(AudioFrame, frame), until=end)
                continue
            packet.stream = self._video
            packet.time_base = tick
            packet.pts = self._frames + index
            packet.dts = self._frames + decoded - self._reorder
            packet.duration = 1
            decoded += 1
            self._output.mux_one(packet)
        self._frames += part.frames
        self._advance_sound(part, end)

    def finish(self) -> None:
        """Write what encoders hold, and the container's index."""
        if self.soundtrack is not None:
            self.soundtrack.finish()
            missing = self._samples_at(self._frames) - self.soundtrack.written
            if missing > self._samples_at(1):
                seconds = missing / self.soundtrack.sample_rate
                self.warnings.append(f"The sound ends {seconds:.3f} s before the video")
        self._output.close()

    def _add_sound(self, audio_file: Path | None, encoder: str) -> None:
        if audio_file is not None:
            self._sound_file, self._sound = open_sound(audio_file)
            self._sound_frames = self._sound_file.decode(audio=0)
        else:
            check_sound(self._sound)
        if self._sound is not None:
            self.soundtrack = Soundtrack(self._output, source=self._sound, encoder=encoder)

    def _check_fits(self, chunk: ChunkFile, part: StitchInput) -> None:
        if chunk.parameters != self._parameters:
            difference = chunk.parameters.differences(self._parameters)
            raise OutputError(f"{part.name} does not fit {self._first.name}: {difference}")
        if self._sound_file is None and chunk.audio_parameters != self._sound:
            sounds = f"sound {chunk.audio_parameters or 'missing'} instead of {self._sound or 'none'}"
            raise OutputError(f"{part.name} does not fit {self._first.name}: {sounds}")

    def _samples_at(self, frame: int) -> int:
        """Samples that sound before a frame is shown."""
        return round(frame * self.soundtrack.sample_rate / self._fps) if self.soundtrack else 0

    def _advance_sound(self, part: StitchInput, end: int) -> None:
        if self.soundtrack is None:
            return
        if self._sound_file is None:
            difference = self.soundtrack.settle(until=end)
            # Rounding may make a chunk's sound differ from its frames; a difference of a whole frame is reported.
            if abs(difference) >= self._samples_at(1):
                what = "longer, and was cut" if difference > 0 else "shorter; silence was put in"
                seconds = abs(difference) / self.soundtrack.sample_rate
                self.warnings.append(f"{part.name}: its sound is {seconds:.3f} s {what}")
            return
        self.soundtrack.advance(until=end)
        while self.soundtrack.written < end and (frame := next(self._sound_frames, None)) is not None:
            self.soundtrack.feed(frame, until=end)


def _verify(path: Path, *, frames: int, fps: Fraction, sound: bool) -> str | None:
    """Read the joined file from the start, as any player does; return its sound's codec."""
    with ChunkFile(path, fps=fps, frames=frames) as joined:
        for _ in joined.packets():
            pass
        if sound and joined.audio_parameters is None:
            raise OutputError(f"{path.name} has no sound track; expected one")
        return joined.audio_parameters.codec if joined.audio_parameters else None


def _publish(temporary: Path, output: Path) -> int:
    """Write the finished file to disk, then give it its name; return its size."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    temporary.replace(output)
    return size


@contextmanager
def _write_errors(output: Path) -> Iterator[None]:
    """Translate errors of the file system during writing."""
    try:
        yield
    except HeliosError:
        raise
    except OSError as exc:  # FFmpeg's own errors are among them
        free = ""
        if exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            free = "; make room there, or write the output elsewhere, and run the job again"
        raise WorkerUnavailableError(f"{output} can't be written: {exc.strerror}{free}") from exc
