"""What one world of one size came to in one order, over all draws."""

import statistics
from dataclasses import dataclass

from benchmarks.virtual_time import Outcome


@dataclass(frozen=True)
class Cell:
    """All draws of one world and size, in one order."""

    world: str
    """The world's name."""
    chunks: int
    """Chunks of the job."""
    slots: int
    """Workers."""
    order: str
    """How it was scheduled."""
    bounds: tuple[float, ...]
    """Each draw's bound, in seconds."""
    outcomes: tuple[Outcome, ...]
    """What became of each draw."""

    @property
    def ratios(self) -> list[float]:
        """Each draw's wall time over its bound, the least first."""
        return sorted(outcome.wall / bound for outcome, bound in zip(self.outcomes, self.bounds, strict=True))

    @property
    def spread(self) -> float:
        """The 99th percentile of the wall times over their median."""
        walls = sorted(outcome.wall for outcome in self.outcomes)
        return walls[min(len(walls) - 1, int(0.99 * len(walls)))] / statistics.median(walls)

    @property
    def work(self) -> float:
        """Seconds of all attempts of all draws."""
        return sum(outcome.work for outcome in self.outcomes)
