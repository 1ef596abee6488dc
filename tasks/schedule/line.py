"""The slots of one place, and when they are expected to be free: what one decision is made with."""

import heapq
from collections.abc import Sequence
from functools import cached_property

from tasks.schedule.speed import Speed

OVERDUE = 0.25
"""An attempt that takes longer than expected is taken to need this share of the time that it has taken."""


class Line:
    """One place at one moment.

    Args:
        name: The place's.
        order: Where it stands in the list.
        price: What an hour costs.
        bound: Chunks that it has at a time now, at least 1.
        speeds: What says how fast it is: its own speed, else those of others; the mean of them counts.
        least_rate: Seconds for each unit of cost that it takes at least.
        running: Expected cost and seconds so far of each of its attempts.
        is_open: Whether any chunk may have it; else only one that failed wherever it may be.
    """

    def __init__(
        self, name: str, *, order: int, price: float, bound: int, speeds: Sequence[Speed], least_rate: float,
        running: Sequence[tuple[float, float]], is_open: bool = True,
    ) -> None:  # fmt: skip
        self.name = name
        """The place's."""
        self.order = order
        """Where it stands in the list."""
        self.price = price
        """What an hour costs."""
        self.free = max(0, bound - len(running))
        """Slots that are free now."""
        self.is_open = is_open
        """Whether any chunk may have it."""
        self.is_known = bool(speeds)
        """Whether anything says how fast it is."""
        self._bound = bound
        self._speeds = speeds
        self._least_rate = least_rate
        self._running = running
        self._taken: list[float] = []

    def seconds(self, cost: float) -> float:
        """How long it takes for a chunk of some cost."""
        if not self._speeds:
            return max(self._least_rate * cost, 0.0)
        return max(sum(speed.expected(cost) for speed in self._speeds) / len(self._speeds), self._least_rate * cost)

    def finish(self, cost: float) -> float:
        """In how many seconds it has finished a chunk of some cost that comes next."""
        return (0.0 if self.free else self._ends[0]) + self.seconds(cost)

    def take(self, cost: float) -> float:
        """Give it a chunk; say in how many seconds it begins."""
        seconds = self.seconds(cost)
        if self.free:
            self.free -= 1
            heapq.heappush(self._ends, seconds)
            return 0.0
        begins = self._ends[0]
        heapq.heapreplace(self._ends, begins + seconds)
        # A slot that is expected to be free at this very moment is taken still.
        return max(begins, 1e-9)

    def capacity(self, within: float, cost: float) -> float:
        """What it can do beside what it has, in some seconds, in chunks of some cost: their cost together."""
        left = self.free * within + sum(max(0.0, within - end) for end in self._ends)
        seconds = self.seconds(cost)
        return left / seconds * cost if seconds > 0 else 0.0

    @cached_property
    def _ends(self) -> list[float]:
        """In how many seconds each slot that is taken is expected to be free, as a heap."""
        ends = []
        for cost, so_far in self._running:
            ends.append(max(self.seconds(cost) - so_far, OVERDUE * so_far, 1e-9))
        heapq.heapify(ends)
        return ends
