"""Compare two outputs of one chunk frame by frame: two decoders side by side, of which no more than a pair is kept."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from helios.errors import OutputError
from helios.media.accepted_file import AcceptedFile, StitchInput
from helios.media.chunk_file import ChunkFile
from helios.media.decoding import ChunkDecoding
from helios.media.lossless import is_lossless
from helios.media.sound_comparison import SoundComparison, compare_sound
from helios.media.stills import beside, whole
from helios.media.verify import VerificationStoppedError

EQUAL = math.inf
"""The PSNR of equal pictures."""


@dataclass(frozen=True)
class FramePair:
    """The pictures of one frame in two outputs, for people."""

    accepted: bytes
    """A PNG of the frame in the accepted output, in its own size."""
    again: bytes
    """A PNG of the frame in the second output."""
    both: bytes
    """A small JPEG of both beside each other, the accepted one on the left."""


@dataclass(frozen=True)
class Comparison:
    """How far two outputs of one chunk are apart."""

    is_lossless: bool = False
    """Whether the pictures have to be equal, because the codec is lossless."""
    lowest_psnr: float = EQUAL
    """Of the frame that differs most, in dB, over all planes; infinite where all frames are equal."""
    frame: int | None = None
    """That frame, counted from 0 in the chunk; None where all frames are equal."""
    different_frames: int = 0
    """Frames that differ more than they may."""
    pictures: FramePair | None = None
    """Of `frame`, if that differs more than it may."""
    format: str = ""
    """What differs of the format of pictures or sound: then nothing was compared. Empty where nothing does."""
    sound: SoundComparison | None = None
    """How far the sound is apart; None where there is none."""

    @property
    def is_different(self) -> bool:
        """Whether the outputs differ more than they may."""
        return bool(self.format) or self.different_frames > 0 or (self.sound is not None and self.sound.is_different)


def compare_outputs(
    accepted: StitchInput, again: Path, *, fps: Fraction, least_psnr: float, stop: threading.Event | None = None
) -> Comparison:
    """Compare a chunk's accepted output with a second one, to the end of both.

    Args:
        accepted: The accepted output; its bytes are held against its record first.
        again: Another output of the same chunk.
        fps: Frames per second ordered.
        least_psnr: The PSNR of two frames that is good enough, in dB. Those of a lossless codec must be equal.
        stop: Set by another thread to end the comparison early, before the next frame.

    Raises:
        VerificationStoppedError: `stop` was set.
        OutputError: One of them is damaged, or is not what was accepted.
    """
    frames = accepted.frames
    with AcceptedFile(accepted) as held:
        with (
            ChunkFile(accepted.path, fps=fps, frames=frames, file=held.file) as one,
            ChunkFile(again, fps=fps, frames=frames) as other,
        ):
            if difference := _format_difference(one, other):
                return Comparison(format=difference)
            found = _compare_pictures(one, other, least_psnr=least_psnr, stop=stop)
            has_sound = one.audio is not None
        if not has_sound:
            return found
        held.file.seek(0)
        with (
            ChunkFile(accepted.path, fps=fps, frames=frames, file=held.file) as one,
            ChunkFile(again, fps=fps, frames=frames) as other,
        ):
            return replace(found, sound=compare_sound(one, other, stop=stop))


def _format_difference(one: ChunkFile, other: ChunkFile) -> str:
    """What keeps two files from being compared; headers that encoders write differently do not."""
    expected, found = (replace(file.parameters, profile=None, headers="") for file in (one, other))
    if difference := found.differences(expected):
        return difference
    if one.audio_parameters != other.audio_parameters:
        return f"sound {other.audio_parameters or 'missing'} instead of {one.audio_parameters or 'none'}"
    return ""


def _compare_pictures(
    one: ChunkFile, other: ChunkFile, *, least_psnr: float, stop: threading.Event | None
) -> Comparison:
    exact = is_lossless(one.video.codec_context)
    lowest, frame, different, meter = EQUAL, None, 0, None
    worst: tuple[VideoFrame, VideoFrame] | None = None
    for index, pair in enumerate(zip(_pictures(one), _pictures(other), strict=True)):
        if stop is not None and stop.is_set():
            raise VerificationStoppedError(f"Comparing {one.path.name} was stopped")
        meter = meter or PictureMeter(pair[0])
        psnr = meter.measure(index, *pair)
        is_different = psnr < (EQUAL if exact else least_psnr)
        different += is_different
        if psnr < lowest:
            lowest, frame, worst = psnr, index, pair if is_different else None
    pictures = FramePair(whole(worst[0]), whole(worst[1]), beside(worst)) if worst else None
    return Comparison(exact, lowest, frame, different, pictures)


def _pictures(chunk: ChunkFile) -> Iterator[VideoFrame]:
    """A file's pictures, in the order shown, as strictly decoded as when outputs are verified."""
    waiting = deque[VideoFrame]()
    decoding = ChunkDecoding(chunk, waiting.append)
    for packet, index in chunk.packets():
        if index is not None:
            decoding.feed(packet, index)
        while waiting:
            yield waiting.popleft()
    decoding.finish()
    yield from waiting


class PictureMeter:
    """FFmpeg's filter `psnr`: the mean square of the difference over all planes, alpha too, each by its size.

    Args:
        picture: The first of the pictures, which all have one size and one format.
    """

    def __init__(self, picture: VideoFrame) -> None:
        # Kept: FFmpeg's filters are gone with their graph, and PyAV's objects for them are not.
        self._graph = Graph()
        self._graph.threads = 1
        self._sources = [
            self._graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1)
            )
            for _ in range(2)
        ]
        meter, self._sink = self._graph.add("psnr"), self._graph.add("buffersink")
        for number, source in enumerate(self._sources):
            source.link_to(meter, 0, number)
        meter.link_to(self._sink)
        self._graph.configure()

    def measure(self, index: int, *pair: VideoFrame) -> float:
        """The PSNR of two pictures in dB, infinite where they are equal.

        Raises:
            OutputError: They can't be compared: their size or format changes within the file.
        """
        try:
            for source, picture in zip(self._sources, pair, strict=True):
                picture.pts, picture.time_base = index, Fraction(1)
                source.push(picture)
            return float(self._sink.pull().metadata["lavfi.psnr.psnr_avg"])
        except (av.FFmpegError, ValueError) as exc:
            raise OutputError(f"frame {index} (counted from 0) can't be compared: {exc}") from exc
