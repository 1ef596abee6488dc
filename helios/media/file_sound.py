"""Sound tracks of a file, for a joined video: decoded and encoded, each at its time."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from helios.errors import RequestError
from helios.media.carried import Track
from helios.media.chunk_sound import HE_AAC
from helios.media.itunes_tag import stated_run_in
from helios.media.opening import open_media
from helios.media.parameters import AudioParameters
from helios.media.sound_order import SoundOrder, SoundTracks
from helios.media.soundtrack import Soundtrack
from helios.media.timing import Timing

ARBITRARY_START = {"mp3", "mpegts", "aac"}
"""Formats of files whose time stamps do not begin where the sound does: the run-in is counted, or a clock goes on."""


class FileTrack:
    """A sound track of an open file, which has nothing else to do.

    Args:
        container: The file, opened for this track alone.
        stream: The track.
        number: Which of the file's sound tracks it is, from 0.
        start: The time stamp that is the beginning, in seconds; as is usual for such files when None.
    """

    def __init__(
        self, container: InputContainer, stream: AudioStream, number: int, *, start: Fraction | None = None
    ) -> None:
        self.container = container
        self.stream = stream
        self._start = start
        self.name = "The sound" if number == 0 else f"Sound track {number + 1}"
        """How messages call it."""
        self.parameters = AudioParameters.of(stream)
        if (refusal := self.parameters.refusal()) is not None:
            raise RequestError(f"{Path(container.name).name}: {refusal}")
        self.words = Track.of(stream)
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all

    def run_in_warnings(self, first: Packet[AudioStream], *, start: Fraction) -> list[str]:
        """What is to be said about a track that begins with this packet, `start` seconds from the beginning."""
        if self.stream.codec_context.profile in HE_AAC:
            return [
                f"{self.name} of {Path(self.container.name).name} is HE-AAC, whose files do not say how much encoder "
                "and decoder together put in front of it: it may be heard late, by 0.02 to 0.1 s; a file in AAC-LC, "
                "FLAC or PCM is heard in its place"
            ]
        if start or self.parameters.codec != "aac" or first.is_discard or first.has_sidedata("skip_samples"):
            return []
        return [
            f"{self.name} of {Path(self.container.name).name} does not say how much its encoder put in front of it: it "
            "is heard late by that, about 0.02 s; an .m4a file with an edit list says it"
        ]

    def ends_early(self, seconds: float) -> str:
        """What is to be said about a track that ends so long before the video."""
        return f"{self.name} ends {seconds:.3f} s before the video"

    def nothing_in_it(self) -> RequestError:
        """The error for a track without a sample."""
        return RequestError(f"{self.name} of {Path(self.container.name).name} is empty; expected a sound file")

    @property
    def start_seconds(self) -> Fraction:
        """The time stamp that is the beginning."""
        if self._start is not None:
            return self._start
        if self.container.format.name == "matroska,webm" and self.container.streams.video:
            # FFmpeg 5.1 moves everything so that no time stamp is negative.
            pictures = self.container.streams.video[0]
            return (pictures.start_time or 0) * (pictures.time_base or Fraction(1))
        if self.container.format.name not in ARBITRARY_START and not self._counts_run_in:
            return Fraction(0)
        return (self.stream.start_time or 0) * (self.stream.time_base or Fraction(1))

    @property
    def _counts_run_in(self) -> bool:
        """Whether its first time stamp is that of the first sample behind the run-in, which a tag states."""
        if not (run_in := stated_run_in(self.stream)) or self.stream.start_time is None:
            return False
        return self.stream.start_time * (self.stream.time_base or 1) == Fraction(run_in, self.parameters.sample_rate)

    def close(self) -> None:
        """Close the file."""
        self.container.close()


def open_tracks(path: Path, order: SoundOrder) -> list[FileTrack]:
    """Open the sound tracks of a file that are asked for: one at least, unless the file may be silent.

    Raises:
        RequestError: Says what is wrong with the file.
    """
    with ExitStack() as opened:
        first = _open(path)
        opened.callback(first.close)
        if not (count := len(first.streams.audio)):
            if order.may_be_silent:
                return []
            raise RequestError(f"{path} has no sound track; expected a sound file")
        tracks = []
        for number in range(count if order.tracks is SoundTracks.ALL else 1):
            # Each has a file of its own: how far a file is read for one track says nothing about another.
            container = first if number == 0 else _open(path)
            opened.callback(container.close)
            tracks.append(FileTrack(container, container.streams.audio[number], number, start=order.start))
        opened.pop_all()
        return tracks


def _open(path: Path) -> InputContainer:
    try:
        return open_media(path)
    except (av.FFmpegError, OSError) as exc:
        raise RequestError(f"{path} can't be read as sound: {exc.strerror}; expected a sound file") from None


class FileSound:
    """Lays the sound of a file's track, up to the end of the video.

    Args:
        source: The track.
        track: Where it goes.
        timing: Of the pictures.

    Raises:
        RequestError: There is nothing in it.
    """

    def __init__(self, source: FileTrack, track: Soundtrack, *, timing: Timing) -> None:
        self.warnings: list[str] = []
        """For the report."""
        self._source = source
        self._track = track
        self._timing = timing
        frames = self._decoded()
        if (first := next(frames, None)) is None:
            raise source.nothing_in_it()
        self._frames = chain([first], frames)

    def advance(self, *, frames: int) -> None:
        """Write it up to where `frames` frames of the video were shown."""
        end = self._samples_at(frames)
        self._track.advance(until=end)
        while self._track.written < end and (frame := next(self._frames, None)) is not None:
            at, slack = None, 0
            if frame.pts is not None and frame.time_base is not None:
                seconds = frame.pts * frame.time_base - self._source.start_seconds
                at = round(seconds * self._track.sample_rate)
                # Of two time stamps, both rounded to the file's ticks: milliseconds in Matroska.
                slack = 2 * -(-frame.time_base.numerator * self._track.sample_rate // frame.time_base.denominator)
            self._track.feed(frame, at=at, slack=slack, until=end)

    def finish(self, *, frames: int) -> None:
        """Write what the encoder holds, after all frames of the video."""
        self._track.finish()
        missing = self._samples_at(frames) - self._track.written
        if missing > self._samples_at(1):
            self.warnings.append(self._source.ends_early(missing / self._track.sample_rate))

    def _samples_at(self, frame: int) -> int:
        return round(self._timing.seconds(frame) * self._track.sample_rate)

    def _decoded(self) -> Iterator[AudioFrame]:
        source, is_first = self._source, True
        try:
            for packet in source.container.demux(source.stream):
                if is_first and packet.pts is not None:
                    start = packet.pts * packet.time_base - source.start_seconds
                    self.warnings += source.run_in_warnings(packet, start=start)
                    is_first = False
                yield from packet.decode()
        except av.FFmpegError as exc:
            raise RequestError(
                f"{source.name} of {Path(source.container.name).name} can't be decoded to its end ({exc.strerror}); "
                "expected a file that is whole"
            ) from exc
