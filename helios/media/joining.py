"""One video being joined: where the next frame and the next sample go, and what is said about them."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from helios.errors import OutputError, RequestError
from helios.media.accepted_file import StitchInput
from helios.media.carried import MATROSKA, Said, add_video
from helios.media.chapters import Chapter, extend, write_chapters
from helios.media.chunk_file import ChunkFile
from helios.media.containers import check_container, container_of
from helios.media.matroska_aspect import write_aspect
from helios.media.parameters import AudioParameters, VideoParameters
from helios.media.soundtrack import Soundtrack, open_sound
from helios.media.stream_facts import UNOFFICIAL


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


class Join:
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
        self.fps = fps
        """Frames per second."""
        self.first = first
        """The chunk that the others must fit, and whose words are carried."""
        self.said: Said = chunk.said
        """What it says about its pictures and its sound."""
        self.warnings: list[str] = []
        """For the report."""
        self._path = path
        self._tick = 1 / fps
        self._frames = 0
        self._chapters: list[Chapter] = []
        self.soundtrack: Soundtrack | None = None
        self._sound_file: InputContainer | None = None
        self._sound_frames: Iterator[AudioFrame] = iter(())
        name, sound_encoder = container_of(path)
        check_container(output, chunk.parameters.codec)
        self._parameters: VideoParameters = chunk.parameters
        self._sound: AudioParameters | None = chunk.audio_parameters
        # Frames by which decoding runs ahead of showing, with B-frames.
        self._reorder = chunk.video.codec_context.reorder_depth
        self._output: OutputContainer = av.open(
            str(path.absolute()), "w", format=name, container_options=dict(UNOFFICIAL)
        )
        try:
            self._output.metadata.update(self.said.tags)
            self._video: VideoStream = add_video(self._output, chunk.video, self.said, fps=fps)
            self._add_sound(audio_file, sound_encoder)
            self._output.start_encoding()
        except BaseException:
            self._output.close()
            raise

    def __enter__(self) -> "Join":
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
        extend(self._chapters, chunk.chapters(at=self._frames / self.fps))
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
        if self._chapters:
            write_chapters(self._output, self._chapters)
        self._output.close()
        if self._output.format.name in MATROSKA and self.said.facts.sample_aspect_ratio != 1:
            write_aspect(self._path, self.said.facts.sample_aspect_ratio, name=self.said.video.title)

    def missing_in(self, found: Said) -> list[str]:
        """Warnings about what the first chunk says, and the joined file does not."""
        missing = self.said.missing_in(found)
        if self.said.others:
            missing.append(f"further tracks ({', '.join(self.said.others)})")
        container = self._path.suffix
        return (
            [f"{self.first.name} has what the {container} file has no place for: {', '.join(missing)}"]
            if missing
            else []
        )

    def _add_sound(self, audio_file: Path | None, encoder: str) -> None:
        if audio_file is not None:
            self._sound_file, self._sound = open_sound(audio_file)
            self._sound_frames = self._sound_file.decode(audio=0)
        else:
            check_sound(self._sound)
        if self._sound is not None:
            self.soundtrack = Soundtrack(self._output, source=self._sound, encoder=encoder)
            if audio_file is None and self.said.audio is not None:
                self.said.audio.put_on(self.soundtrack.stream)

    def _check_fits(self, chunk: ChunkFile, part: StitchInput) -> None:
        if chunk.parameters != self._parameters:
            difference = chunk.parameters.differences(self._parameters)
            raise OutputError(f"{part.name} does not fit {self.first.name}: {difference}")
        if self._sound_file is None and chunk.audio_parameters != self._sound:
            sounds = f"sound {chunk.audio_parameters or 'missing'} instead of {self._sound or 'none'}"
            raise OutputError(f"{part.name} does not fit {self.first.name}: {sounds}")

    def _samples_at(self, frame: int) -> int:
        """Samples that sound before a frame is shown."""
        return round(frame * self.soundtrack.sample_rate / self.fps) if self.soundtrack else 0

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
