"""When each frame of a video is shown: computed from a constant rate, or as it was recorded."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

from helios.models.source import FrameTimes


@dataclass(frozen=True)
class Timing:
    """Times of a video's frames."""

    fps: Fraction
    """Frames per second: the constant rate, or one that stands for the recorded times."""
    times: FrameTimes | None = None
    """The recorded times; None for a constant rate."""
    _stamps: tuple[int, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        if self.times is not None:
            object.__setattr__(self, "_stamps", (0, *accumulate(self.times.steps)))

    @property
    def is_constant(self) -> bool:
        """Whether the times are computed."""
        return self.times is None

    @property
    def tick(self) -> Fraction:
        """Seconds of a tick, in which every frame's time is a whole number."""
        return 1 / self.fps if self.times is None else self.times.tick

    def stamp(self, frame: int) -> int:
        """Ticks at which a frame is shown; of the one past the last, those at which the video ends.

        Frames before the first one have times, too: decoding begins there.
        """
        if not self._stamps:
            return frame
        if frame < 0:
            return frame * max(self._stamps[1], 1)
        return self._stamps[min(frame, len(self._stamps) - 1)]

    def seconds(self, frame: int) -> Fraction:
        """Seconds at which a frame is shown."""
        return self.stamp(frame) * self.tick

    def part(self, frames: int) -> "Timing":
        """Of the first frames alone."""
        if self.times is None:
            return self
        return Timing(self.fps, FrameTimes(tick=self.times.tick, steps=self.times.steps[:frames]))
