"""Read a rendered file packet by packet and hold it against what was ordered, without decoding it all."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from helios.errors import OutputError
from helios.media.carried import Said
from helios.media.chapters import Chapter, chapters_of
from helios.media.checked_reader import Reader
from helios.media.opening import open_media, says_otherwise
from helios.media.parameters import AudioParameters, VideoParameters
from helios.media.sample_entry import unread
from helios.media.stated_rate import MILLISECOND, RATE_TOLERANCE, contradicts, matroska_duration
from helios.media.timing import Timing
from helios.models.framerate import MAX_FPS

NO_PICTURES = {"skip_frame": "all"}
"""Has FFmpeg open a file without decoding a picture of it: it takes what containers and headers say."""


class ChunkFile:
    """An open media file that should hold `frames` frames at `fps` frames per second.

    Args:
        path: The file.
        fps: Expected frame rate.
        frames: Expected number of frames.
        file: The file, already open: it is read instead of what has the path now. It stays open.
        decode: Whether FFmpeg decodes the first pictures when it opens the file, for 10 ms of CPU at 720p. Without
            it, `parameters` lacks what only pictures tell, such as the pixel format. A file with sound is always
            decoded.
        most_sounds: How many sound tracks it may have.
        timing: When its frames are shown; at the constant rate when None.

    Raises:
        OutputError: It is missing, empty, not a video, or without a video stream.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: Fraction,
        frames: int,
        file: Reader | None = None,
        decode: bool = True,
        most_sounds: int = 1,
        timing: Timing | None = None,
    ) -> None:
        self.path = path
        self.fps = fps
        self.frames = frames
        self._file = file
        self._container = _open(path, file, decode=decode)
        if not decode and self._container.streams.audio:
            # Without its pictures' order, FFmpeg does not know when a Matroska file's first picture is shown, by which
            # its sound is laid.
            self._container.close()
            self._container = _open(path, file, decode=True)
        try:
            self.video, self.sounds = _streams(self._container, path, most_sounds)
            self.audio = self.sounds[0] if self.sounds else None
            self.audio_parameters = AudioParameters.of(self.audio) if self.audio else None
            if self.audio_parameters and (refusal := self.audio_parameters.refusal()) is not None:
                raise OutputError(f"{path.name}: {refusal}")
        except BaseException:
            self._container.close()
            raise
        self.has_dynamic_hdr = False
        """Whether HDR10+ stands beside its first picture, as in WebM; right once that was read."""
        # Whole numbers: with fractions each frame would take as long as FFmpeg needs to copy three.
        self._step_frames, self._step_ticks = ((self.video.time_base or Fraction(1)) * fps).as_integer_ratio()
        """The first number of frames lasts as long as the second number of ticks of the file's time stamps."""
        self._stamps = _stamps(timing, frames, tick=self.video.time_base or Fraction(1)) if timing else None
        self._hidden = 0
        self._indices: list[int] = []
        self._start: int | None = None
        self._duration = 0

    def __enter__(self) -> ChunkFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @cached_property
    def parameters(self) -> VideoParameters:
        """What the file says about its pictures; making it takes about as long as reading a second of video."""
        return VideoParameters.of(self.video)

    @property
    def start_seconds(self) -> Fraction:
        """The time stamp of the first frame, by which those of the sound are meant."""
        return (self.video.start_time or 0) * (self.video.time_base or Fraction(1))

    @property
    def said(self) -> Said:
        """What the file says about itself and its tracks."""
        return Said.of(self._container, self.video, self.audio, facts=self.parameters.facts)

    def unread(self) -> list[str]:
        """Name what the file says about its pictures in a way that FFmpeg does not know."""
        return unread(self.path, self._file)

    def chapters(self, *, at: Fraction = Fraction(0), are_cut: bool = True) -> list[Chapter]:
        """The file's chapters, in the time of a video in which it begins `at` that many seconds.

        Args:
            at: Seconds.
            are_cut: Whether they end with the file.
        """
        return chapters_of(self._container, at=at, seconds=self.frames / self.fps if are_cut else None)

    def packets(self) -> Iterator[tuple[Packet[Stream], int | None]]:
        """Read the file once, in the order of its packets.

        Yields:
            A packet, and for video the index of its frame in presentation order, counted from 0;
            None for sound.

        Raises:
            OutputError: A packet is corrupt, has no time stamp, or is not at its frame's time; at the
                end: the number of frames is not the expected one.
        """
        streams: list[VideoStream | AudioStream] = [self.video, *self.sounds]
        try:
            for packet in self._container.demux(streams):
                if packet.size == 0:
                    continue  # PyAV ends each stream with an empty packet
                if packet.is_corrupt:
                    raise OutputError(f"{self.path.name} is truncated or damaged: a packet is incomplete")
                if self.audio is not None and packet.stream is not self.video:
                    yield packet, None
                    continue
                self._hidden += packet.is_discard
                yield packet, self._frame_index(packet)
        except (av.FFmpegError, OSError) as exc:
            raise OutputError(f"{self.path.name} is truncated or damaged: {exc.strerror}") from exc
        self._check_count()

    def _frame_index(self, packet: Packet[Stream]) -> int:
        pts = packet.pts
        if pts is None:
            raise OutputError(f"{self.path.name}: a frame has no time stamp; use mp4, mov, mkv or webm")
        if self._start is None:
            if not packet.is_keyframe:
                raise OutputError(f"{self.path.name} does not begin with a key frame: it can't be joined")
            self._start, self._duration = pts, packet.duration or 0
            self.has_dynamic_hdr = packet.has_sidedata("dynamic_hdr10_plus")
        if self._stamps is not None:
            return self._recorded_index(pts - self._start)
        index, rest = divmod((pts - self._start) * self._step_frames, self._step_ticks)
        if rest:
            index = self._nearest_index(pts - self._start)
        self._indices.append(index)
        return index

    def _recorded_index(self, ticks: int) -> int:
        """The frame whose recorded time is a time stamp, but for rounding."""
        stamps = self._stamps or []
        index = min(bisect_left(stamps, ticks - 1), len(stamps) - 1)
        if index + 1 < len(stamps) and abs(stamps[index + 1] - ticks) < abs(stamps[index] - ticks):
            index += 1
        if abs(stamps[index] - ticks) > 1:
            seconds = ticks * (self.video.time_base or Fraction(1))
            raise OutputError(f"{self.path.name}: a frame is at {float(seconds):.4f} s, where the source has none")
        self._indices.append(index)
        return index

    def _nearest_index(self, ticks: int) -> int:
        """The frame whose time is next to a time stamp between two frames'."""
        frames, per = self._step_frames, self._step_ticks
        index = (2 * ticks * frames + per) // (2 * per)
        # It may be off by one tick, and by the tolerance of the rate: both sides in frames, times `per`, times the
        # tolerance's denominator. A file that was copied from Matroska has whole milliseconds in finer ticks.
        milli = MILLISECOND / (self.video.time_base or Fraction(1))
        off = int(milli) if milli > 1 and milli.denominator == 1 and ticks % int(milli) == 0 else 1
        slack = frames * (RATE_TOLERANCE.denominator * off + RATE_TOLERANCE.numerator * abs(ticks))
        if RATE_TOLERANCE.denominator * abs(ticks * frames - index * per) > slack:
            seconds = ticks * (self.video.time_base or Fraction(1))
            raise OutputError(
                f"{self.path.name}: a frame is at {float(seconds):.4f} s, which no frame is at "
                f"{_rate(self.fps)}; the file's own rate is {_rate(self.video.average_rate)}"
            )
        return index

    def _check_count(self) -> None:
        found = len(self._indices)
        if self._hidden:
            raise OutputError(
                f"{self.path.name} shows {found - self._hidden} of its {found} frames: an edit list hides the others, "
                "as where a video was cut without a key frame there, and the joined video would show them. Cut it at a "
                "key frame, or encode it again"
            )
        if found != self.frames:
            raise OutputError(f"{self.path.name} has {found} frames; expected exactly {self.frames}")
        if sorted(self._indices) != list(range(self.frames)):
            raise OutputError(
                f"{self.path.name}: at {_rate(self.fps)}, frames are missing or shown twice between its first and "
                f"last; the file's own rate is {_rate(self.video.average_rate)}"
            )
        if self._stamps is not None or (stated := self._stated_duration()) is None:
            return
        tick = self.video.time_base or MILLISECOND
        if contradicts(stated, self.fps, frames=self.frames, tick=tick):
            raise OutputError(f"{self.path.name} is at {_rate(1 / stated)}; expected {_rate(self.fps)}")

    def _stated_duration(self) -> Fraction | None:
        """Seconds of a frame, where the container says them; the frames' times have been checked already.

        Short files in a container of milliseconds have time stamps too coarse to tell rates apart, and single frames
        have none.
        """
        rate = self.video.average_rate
        if "matroska" in self._container.format.name:
            is_suspect = rate is not None and abs(rate / self.fps - 1) > RATE_TOLERANCE
            stated = matroska_duration(self.path, self._file) if is_suspect else None
        elif self.frames == 1:
            stated = self._duration * (self.video.time_base or Fraction(1))
        else:
            return None
        return stated if stated and 1 / stated <= MAX_FPS else None


def _stamps(timing: Timing, frames: int, *, tick: Fraction) -> list[int] | None:
    """Recorded times in a file's ticks; None where they are computed."""
    if timing.is_constant:
        return None
    return [round(timing.seconds(frame) / tick) for frame in range(frames)]


def _rate(rate: Fraction | None) -> str:
    return f"{float(rate):.6g} fps" if rate else "unknown"


def _open(path: Path, file: Reader | None, *, decode: bool) -> InputContainer:
    options = None if decode else NO_PICTURES
    try:
        if (_size_of(path) if file is None else file.seek(0, os.SEEK_END)) == 0:
            raise OutputError(f"{path.name} is empty")
        if file is not None:
            file.seek(0)
        return open_media(path, file, options=options)
    except FileNotFoundError:
        raise OutputError(f"{path.name} was not written") from None
    except IsADirectoryError:
        raise OutputError(
            f"{path.name} is a directory; expected a video file. Images are named with their frame's number: give the "
            "chunk an outputFile such as 'frames/shot_####.png'"
        ) from None
    except (av.FFmpegError, OSError) as exc:
        raise OutputError(f"{path.name} can't be read as a video: {exc.strerror}{says_otherwise(path)}") from exc


def _size_of(path: Path) -> int:
    """The size of a regular file: a pipe would be waited for."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(f"{path.name} is no regular file; expected a video file")
    return found.st_size


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The video tracks of a file; a cover picture is none, although FFmpeg shows it as a track of one frame."""
    return [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]


def _streams(container: InputContainer, path: Path, most_sounds: int) -> tuple[VideoStream, tuple[AudioStream, ...]]:
    videos, sounds = moving_pictures(container), container.streams.audio
    if not videos:
        raise OutputError(f"{path.name} has no video stream")
    if len(videos) > 1 or len(sounds) > most_sounds:
        most = "at most one" if most_sounds == 1 else f"at most {most_sounds}"
        raise OutputError(
            f"{path.name} has {len(videos)} video and {len(sounds)} sound tracks; expected one video track, and {most} "
            "of sound"
        )
    return videos[0], sounds
