"""`--cut`: how a video is cut into chunks."""

import re
from dataclasses import dataclass
from fractions import Fraction

from helios.encode.analysis import Analysis
from helios.encode.cuts import Lengths, bounded_cuts
from helios.encode.plan import Frames
from helios.errors import RequestError

SCENES, KEYFRAMES = "scenes", "keyframes"
SHORTEST, LONGEST = 2.0, 20.0
"""Seconds of a chunk, by default: an encoder starts anew in each, and a machine that dies loses one."""
MOST_SECONDS = 86_400.0


@dataclass(frozen=True)
class Cutting:
    """What is asked for."""

    where: str = SCENES
    """`scenes`, `keyframes`, or a number of seconds."""
    shortest: float | None = None
    """Seconds of the shortest chunk."""
    longest: float | None = None
    """Seconds of the longest one."""

    def __post_init__(self) -> None:
        if self.where not in {SCENES, KEYFRAMES} and not self._seconds:
            raise RequestError(f"--cut {self.where!r}: expected scenes, keyframes, or a number of seconds such as 10")

    @property
    def needs_scenes(self) -> bool:
        """Whether scenes have to be looked for."""
        return self.where == SCENES

    @property
    def _seconds(self) -> float | None:
        found = float(self.where) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", self.where) else 0.0
        return found if 0 < found <= MOST_SECONDS else None

    def sizes(self, frames: Frames) -> list[int]:
        """Frames of each chunk.

        Raises:
            RequestError: The bounds contradict each other, or there would be too many chunks.
        """
        total, rate = len(frames.shown()), frames.rate
        if self._seconds is not None:
            every = max(round(self._seconds * rate), 1)
            lengths = Lengths(shortest=1, longest=max(every, 2))
            return bounded_cuts(range(every, total, every), frames=total, lengths=lengths)
        cuts = frames.of_pictures(self._pictures(frames.analysis))
        return bounded_cuts(cuts, frames=total, lengths=self._lengths(rate))

    def _pictures(self, analysis: Analysis) -> tuple[int, ...]:
        return analysis.keyframes if self.where == KEYFRAMES else analysis.scenes or ()

    def _lengths(self, rate: Fraction) -> Lengths:
        shortest = SHORTEST if self.shortest is None else self.shortest
        longest = max(LONGEST, 2 * shortest) if self.longest is None else self.longest
        if self.shortest is None:
            shortest = min(shortest, longest / 2)
        frames = max(round(shortest * rate), 1)
        return Lengths(shortest=frames, longest=max(round(longest * rate), 2 if shortest * 2 <= longest else 0))
