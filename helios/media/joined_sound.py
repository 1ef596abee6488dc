"""The sound of a joined video, frame by frame of its pictures: from its chunks, or from one file."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from helios.errors import RequestError
from helios.media.carried import Track
from helios.media.chunk_file import ChunkFile
from helios.media.parameters import AudioParameters
from helios.media.soundtrack import Soundtrack

ARBITRARY_START = {"mp3", "mpegts", "aac"}
"""Formats of files whose time stamps do not begin where the sound does: the run-in is counted, or a clock goes on."""


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


class JoinedSound:
    """Lays sound where its time stamps say.

    Args:
        output: The container, before its first packet.
        source: Format of the sound.
        file: Where it comes from; without it, from the chunks.
        encoder: FFmpeg's name.
        fps: Frames per second of the pictures.
        words: What is said about the track.
    """

    def __init__(
        self,
        output: OutputContainer,
        *,
        source: AudioParameters,
        file: InputContainer | None,
        encoder: str,
        fps: Fraction,
        words: Track | None,
    ) -> None:
        self.warnings: list[str] = []
        """For the report."""
        self._fps = fps
        self._file = file
        self._file_start = Fraction(0)
        self._frames_of_file: Iterator[AudioFrame] = iter(())
        if file is not None:
            self._frames_of_file = file.decode(audio=0)
            if file.format.name in ARBITRARY_START:
                stream = file.streams.audio[0]
                self._file_start = (stream.start_time or 0) * (stream.time_base or Fraction(1))
        self.track = Soundtrack(output, source=source, encoder=encoder)
        """Where it goes."""
        if words is not None:
            words.put_on(self.track.stream)

    def samples_at(self, frame: int) -> int:
        """Samples that sound before a frame is shown."""
        return round(frame * self.track.sample_rate / self._fps)

    def feed(self, packet: Packet[Stream], chunk: ChunkFile, *, frames: int) -> None:
        """Take a packet of a chunk's sound.

        Args:
            packet: Compressed or not.
            chunk: Where it is from.
            frames: Frames of the video before the chunk.
        """
        if self._file is not None:
            return
        end = self.samples_at(frames + chunk.frames)
        for frame in packet.decode():
            self._lay(cast(AudioFrame, frame), start=chunk.start_seconds, after=self.samples_at(frames), until=end)

    def end_chunk(self, name: str, chunk: ChunkFile, *, frames: int) -> None:
        """Complete the sound up to the end of a chunk, before which there are `frames` frames of the video."""
        end = self.samples_at(frames + chunk.frames)
        if self._file is None:
            self._settle(name, chunk, end=end)
            return
        self.track.advance(until=end)
        while self.track.written < end and (frame := next(self._frames_of_file, None)) is not None:
            self._lay(frame, start=self._file_start, after=0, until=end)

    def finish(self, *, frames: int) -> None:
        """Write what the encoder holds, after all frames of the video."""
        self.track.finish()
        missing = self.samples_at(frames) - self.track.written
        if missing > self.samples_at(1):
            self.warnings.append(f"The sound ends {missing / self.track.sample_rate:.3f} s before the video")

    def _lay(self, frame: AudioFrame, *, start: Fraction, after: int, until: int) -> None:
        """Lay a frame `after` this many samples, and further by what its time stamp is later than `start` seconds."""
        at, slack = None, 0
        if frame.pts is not None and frame.time_base is not None:
            at = after + round((frame.pts * frame.time_base - start) * self.track.sample_rate)
            # Of two time stamps, both rounded to the file's ticks: milliseconds in Matroska.
            slack = 2 * -(-frame.time_base.numerator * self.track.sample_rate // frame.time_base.denominator)
        self.track.feed(frame, at=at, slack=slack, until=until)

    def _settle(self, name: str, chunk: ChunkFile, *, end: int) -> None:
        difference = self.track.settle(until=end)
        if chunk.audio is None:
            self.warnings.append(f"{name}: it has no sound track, which other chunks have; silence was put in")
        # Rounding may make a chunk's sound differ from its frames; a difference of a whole frame is reported.
        elif abs(difference) >= self.samples_at(1):
            what = "longer, and was cut" if difference > 0 else "shorter; silence was put in"
            self.warnings.append(f"{name}: its sound is {abs(difference) / self.track.sample_rate:.3f} s {what}")
