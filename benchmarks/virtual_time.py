"""A run in virtual time: the policy of a live run, over workers that are numbers.

The simulation carries out what `tasks.schedule.policy` decides, as `tasks.run.work` does in a live run; only what takes
time there is drawn here.
"""

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from tasks.schedule.cutting import Cut, Cutter
from tasks.schedule.expectation import Piece, Timing
from tasks.schedule.hedging import Running
from tasks.schedule.policy import Kind, Schedule, Step

RETRY_SECONDS = 1.0
"""Before a chunk whose attempt died is tried again, as the flow's default is."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one attempt."""

    seconds: float
    """When it ends."""
    is_whole: bool = True
    """Whether it ends with an output."""


Draw = Callable[[int, int, int], Fate]
"""The fate of an attempt by its chunk, its number among the chunk's, and its slot: the same whenever it is asked."""


@dataclass(frozen=True)
class Order:
    """How a run is scheduled."""

    name: str
    """For people."""
    earlier: Mapping[int, Timing] = field(default_factory=dict)
    """What is known of earlier runs."""
    hedge: float = 0.0
    """What second attempts may cost."""


@dataclass
class Outcome:
    """What a run in virtual time came to."""

    wall: float = 0.0
    """Seconds until the last chunk was accepted."""
    work: float = 0.0
    """Seconds of all attempts, second ones included."""
    hedge_work: float = 0.0
    """Seconds of second attempts."""
    hedges: int = 0
    """Second attempts."""
    won: int = 0
    """Those whose output was accepted."""
    decisions: int = 0
    """Questions to the policy."""
    cpu: float = 0.0
    """Seconds of CPU in which it answered them."""


@dataclass(eq=False)
class _Attempt:
    chunk: int
    slot: int
    began: float
    is_hedge: bool
    is_over: bool = False


@dataclass
class _Contest:
    own: _Attempt | None = None
    hedge: _Attempt | None = None
    hedges: int = 0
    attempts: int = 0


class Simulation:
    """One run.

    Args:
        frames: Each chunk's frames; the chunks are numbered from 0.
        slots: Workers.
        draw: What becomes of attempts.
        order: How it is scheduled.
        hosts: Slots of one machine; a second attempt goes to another where one is free.
        cutter: Has the frames of a job that is cut while it is rendered.
    """

    def __init__(
        self,
        frames: Sequence[int],
        *,
        slots: int,
        draw: Draw,
        order: Order,
        hosts: int = 1,
        cutter: Cutter | None = None,
    ) -> None:
        pieces = [Piece(chunk, length) for chunk, length in enumerate(frames)]
        self._schedule = Schedule(
            pieces, waiting=range(len(frames)), earlier=order.earlier, hedge=order.hedge, cutter=cutter
        )
        self.cuts: dict[int, Cut] = {}
        """The chunks that were cut on the way, by id; draws of such a run look them up."""
        self._draw = draw
        self._hosts = hosts
        self._free = list(range(slots))
        self._contests: dict[int, _Contest] = {}
        self._left = len(frames)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._now = 0.0
        self._wake = float("inf")
        self.outcome = Outcome()
        """What it came to so far."""

    def run(self) -> Outcome:
        """Run it to its end."""
        self._fill()
        while self._left or self._schedule.has_steps:
            self._now, _, event = heapq.heappop(self._events)
            event()
            self._fill()
        self.outcome.wall = self._now
        return self.outcome

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def _fill(self) -> None:
        """Give the free slots something to do."""
        while self._free and (self._left or self._schedule.has_steps):
            started = time.thread_time()
            step = self._schedule.decide(self._running(), self._now)
            self.outcome.cpu += time.thread_time() - started
            self.outcome.decisions += 1
            if isinstance(step, Step):
                self._start(step)
                continue
            if step.seconds is not None and not self._now < self._wake <= self._now + step.seconds:
                self._wake = self._now + step.seconds
                self._at(self._wake, lambda: None)
            return

    def _running(self) -> Iterator[Running]:
        for chunk, one in self._contests.items():
            if one.own is not None:
                hedged = None if one.hedge is None else self._now - one.hedge.began
                yield Running(chunk, self._now - one.own.began, hedged, one.hedges, one.hedge is None)

    def _start(self, step: Step) -> None:
        if step.cut is not None:
            self.cuts[step.chunk_id] = step.cut
            self._left += 1
        contest = self._contests.setdefault(step.chunk_id, _Contest())
        is_hedge = step.kind is Kind.HEDGE
        attempt = _Attempt(step.chunk_id, self._slot(contest if is_hedge else None), self._now, is_hedge)
        contest.attempts += 1
        fate = self._draw(step.chunk_id, contest.attempts, attempt.slot)
        if is_hedge:
            contest.hedge, contest.hedges = attempt, contest.hedges + 1
            self.outcome.hedges += 1
            if step.seconds is not None and step.seconds < fate.seconds:
                self._at(self._now + step.seconds, lambda: self._end(attempt, is_whole=False))
                return
        else:
            contest.own = attempt
        self._at(self._now + fate.seconds, lambda: self._end(attempt, is_whole=fate.is_whole))

    def _slot(self, avoid: _Contest | None) -> int:
        """A free slot; for a second attempt one of another machine where there is one."""
        if avoid is not None and avoid.own is not None:
            host = avoid.own.slot // self._hosts
            other = next((slot for slot in self._free if slot // self._hosts != host), None)
            if other is not None:
                self._free.remove(other)
                return other
        return self._free.pop()

    def _end(self, attempt: _Attempt, *, is_whole: bool) -> None:
        if attempt.is_over:
            return
        contest = self._contests[attempt.chunk]
        self._leave(attempt, accepted=is_whole)
        other = contest.own if attempt.is_hedge else contest.hedge
        if is_whole:
            if other is not None and not other.is_over:
                self._leave(other, accepted=False)
            del self._contests[attempt.chunk]
            self._left -= 1
            self.outcome.won += attempt.is_hedge
        elif attempt.is_hedge:
            contest.hedge = None
            if contest.own is not None and contest.own.is_over:
                self._retry(attempt.chunk)
        elif contest.hedge is None:
            self._retry(attempt.chunk)

    def _retry(self, chunk: int) -> None:
        self._contests[chunk].own = None
        self._at(self._now + RETRY_SECONDS, lambda: self._schedule.add(chunk))

    def _leave(self, attempt: _Attempt, *, accepted: bool) -> None:
        attempt.is_over = True
        self._free.append(attempt.slot)
        seconds = self._now - attempt.began
        self.outcome.work += seconds
        self.outcome.hedge_work += seconds if attempt.is_hedge else 0.0
        started = time.thread_time()
        self._schedule.note_attempt(attempt.chunk, seconds, accepted=accepted, is_hedge=attempt.is_hedge)
        self.outcome.cpu += time.thread_time() - started
