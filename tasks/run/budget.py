"""What keeps a run within its budget: its attempts wait here until what is left pays for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tasks.run.spending import Spending
from tasks.schedule.budget import Allowance, allowance, may_start

LOOK_SECONDS = 0.5
"""Between two looks whether there is enough for another attempt, if nothing happens."""


class RunBudget:
    """The budget of one run, used in its event loop alone.

    Args:
        spending: What the run has cost; it knows the amount that it may cost.
        stops: Whether what is in flight is stopped when the budget is spent; else it is finished.
    """

    def __init__(self, spending: Spending, *, stops: bool) -> None:
        self._spending = spending
        self.stops = stops
        """Whether what is in flight is stopped when the budget is spent."""
        self.waiting = 0
        """Chunks and audits that would start, and wait for money."""
        self._frames_underway = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def allowed(self) -> Allowance:
        """What may start."""
        return allowance(self._spending.total, self._spending.budget)

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.allowed is Allowance.NOTHING

    def heed(self, amount: object) -> None:
        """Take another amount, where it is one: the run's parameter in Prefect, which a person may have changed."""
        if isinstance(amount, int | float) and amount > 0 and self._spending.budget is not None:
            self._spending.budget = float(amount)
            self._freed.set()

    @asynccontextmanager
    async def promised(self, frames: int, *, is_needed: bool = True) -> AsyncIterator[None]:
        """Wait until there is enough for an attempt; within the block, what it will cost is not there for others.

        Args:
            frames: What it renders.
            is_needed: Whether the job can't be finished without it.
        """
        if self._spending.budget is not None:
            self.waiting += is_needed
            try:
                await self._until_affordable()
            finally:
                self.waiting -= is_needed
        self._frames_underway += frames
        try:
            yield
        finally:
            self._frames_underway -= frames
            self._freed.set()

    async def _until_affordable(self) -> None:
        # Of those that wait, one looks: thousands that look would cost a CPU.
        async with self._turn:
            while not self._is_affordable():
                self._freed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), LOOK_SECONDS)

    def _is_affordable(self) -> bool:
        spending = self._spending
        spent = spending.total
        promised = max(0.0, self._frames_underway * spending.per_frame - spending.underway)
        return may_start(spent=spent, promised=promised, budget=spending.budget)
