"""Which of a source's pictures is shown at each frame of a video of constant rate."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, TypeVar


class Timed(Protocol):
    """A picture with a time stamp."""

    @property
    def pts(self) -> int | None:
        """In ticks."""


P = TypeVar("P", bound=Timed)


@dataclass(frozen=True)
class Sampling:
    """A constant rate that a source is brought to, as FFmpeg's filter `fps` does: pictures are repeated or left out."""

    rate: Fraction
    """Frames per second."""
    origin: int
    """Time stamp of the source's first picture, in ticks."""
    tick: Fraction
    """Seconds."""

    def frame_of(self, ticks: int) -> int:
        """The first frame at which a picture with this time stamp is shown, unless the next one has the same."""
        return round((ticks - self.origin) * self.tick * self.rate)

    def plan(self, times: Sequence[int], *, end: int) -> list[int]:
        """For each frame, the number of the picture that it shows.

        Args:
            times: The pictures' time stamps, in ticks.
            end: Where the last one ends, in ticks.
        """
        starts = [self.frame_of(ticks) for ticks in times] + [max(self.frame_of(end), self.frame_of(times[-1]) + 1)]
        return [number for number, (start, following) in enumerate(pairwise(starts)) for _ in range(start, following)]

    def sample(self, pictures: Iterable[P], *, first: int) -> Iterator[P]:
        """The pictures shown at each frame from `first` on, as often as they are shown; the last one without end."""
        held, frame = None, first
        for picture in pictures:
            at = self.frame_of(picture.pts or 0)
            while held is not None and frame < at:
                yield held
                frame += 1
            held = picture
        while held is not None:
            yield held
