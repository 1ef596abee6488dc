"""The attempts of a run that wait for one of several places, in the order in which they came."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tasks.schedule.place import Begun, Wanted
from tasks.schedule.places import Placement


@dataclass(eq=False)
class _Waiter:
    wanted: Wanted
    begun: asyncio.Future[Begun]


class PlaceQueue:
    """Carries out what the policy of places decides, in the event loop alone.

    Args:
        placement: Decides.
        clock: Seconds since the run began.
        backlog: What the chunks cost together that have not come to this queue yet.
    """

    def __init__(self, placement: Placement, *, clock: Callable[[], float], backlog: Callable[[], float]) -> None:
        self._placement = placement
        self._clock = clock
        self._backlog = backlog
        self._waiting: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, wanted: Wanted) -> Begun:
        """Wait for a slot; `leave` gives it back."""
        waiter = _Waiter(wanted, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self.look()
        try:
            return await waiter.begun
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.begun.cancelled():
                self.leave(waiter.begun.result())
            raise

    def leave(self, begun: Begun) -> None:
        """Give a slot back."""
        self._placement.leave(begun)
        self.look()

    def look(self) -> None:
        """Have the attempts start that can start now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = [waiter for waiter in self._waiting if not waiter.begun.done()]
        if not self._waiting:
            return
        now, waiting = self._clock(), self._waiting
        choice = self._placement.decide([waiter.wanted for waiter in waiting], now, backlog=self._backlog())
        self._waiting = [waiter for position, waiter in enumerate(waiting) if position not in choice.given]
        for position, name in choice.given.items():
            waiter = waiting[position]
            waiter.begun.set_result(self._placement.begin(name, waiter.wanted.chunk_id, now))
        if choice.again is not None:
            self._timer = asyncio.get_running_loop().call_later(choice.again, self.look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
