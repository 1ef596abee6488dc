"""Where a chunk lies in its video: the times of its frames, and of a few before them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from helios.media.timing import Timing

MOST_REORDERED = 16
"""Frames by which decoding runs ahead of showing at most (H.264, HEVC)."""


@dataclass(frozen=True)
class Span:
    """Where a chunk lies in the video."""

    first: int
    """Number of its first frame in the video, from 0."""
    frames: int
    """How many frames it has."""
    fps: Fraction
    """Frames per second of the chunk's file."""
    tick: Fraction
    """Seconds of a tick, in which every frame's time is a whole number."""
    stamps: tuple[int, ...] = ()
    """Ticks at which its frames are shown, and at which the next chunk's first one is, with `MOST_REORDERED` frames
    before; empty where each frame takes a tick."""
    step: int = 1
    """Ticks of the video's first frame."""

    @classmethod
    def of(cls, timing: Timing, *, first: int, frames: int) -> Span:
        """The place of frames `[first, first + frames)`."""
        numbers = range(first - MOST_REORDERED, first + frames + 1)
        stamps = () if timing.is_constant else tuple(timing.stamp(number) for number in numbers)
        return cls(first, frames, timing.fps, timing.tick, stamps, -timing.stamp(-1))

    def stamp(self, index: int) -> int:
        """Ticks at which a frame is shown, counted from the chunk's first; of the one past the last: its end."""
        return self.stamps[index + MOST_REORDERED] if self.stamps else self.first + index

    def seconds(self, index: int) -> Fraction:
        """The same in seconds."""
        return self.stamp(index) * self.tick

    @property
    def duration(self) -> Fraction:
        """Seconds that it takes."""
        return self.seconds(self.frames) - self.seconds(0)
