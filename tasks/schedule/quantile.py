"""A quantile of numbers that come one by one."""

import heapq


class RunningQuantile:
    """The smallest number that a share of all numbers do not exceed; adding one costs the logarithm of their count.

    Args:
        share: Above 0, at most 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._low: list[float] = []  # negated: the largest comes first
        self._high: list[float] = []

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, number: float) -> None:
        """Count a number."""
        heapq.heappush(self._high, -heapq.heappushpop(self._low, -number))
        while len(self._low) < self._share * len(self):
            heapq.heappush(self._low, -heapq.heappop(self._high))

    @property
    def value(self) -> float:
        """The quantile of at least one number."""
        return -self._low[0]
