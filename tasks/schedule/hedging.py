"""Which chunk gets a second attempt while its first still runs, and how much such attempts may cost together."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

from tasks.schedule.quantile import RunningQuantile

QUANTILE = 0.75
"""Of the siblings' seconds for each unit of expected cost. Up to a quarter of the chunks may be slow, and those of
ordinary jitter (coefficient of variation 0.2) are 1.14 times the median here."""
BEYOND = 1.9
"""A chunk is too slow beyond so many times what the quantile lets expect. One of ordinary jitter in 50,000 is."""
LEAST_SIBLINGS = 3
"""Attempts that must have been accepted before anything can be said."""
LEAST_SECONDS = 1.0
"""A chunk that has run for less gets no second attempt: starting one costs a tenth of this."""
LOOK_SECONDS = 0.01
"""Between two looks at least, if nothing happens."""
MOST_HEDGES = 2
"""Second attempts of one chunk in a run: one that meets a slow or a dying worker too gets another."""


class Running(NamedTuple):
    """A chunk whose first attempt runs, at one moment."""

    chunk_id: int
    """The chunk."""
    seconds: float
    """For how long its own attempt has run."""
    hedge_seconds: float | None = None
    """For how long its second attempt has run; None where none runs."""
    hedges: int = 0
    """Second attempts so far, a running one included."""
    may_hedge: bool = True
    """Whether a second attempt would not write over the first, and is of use."""


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second attempt that is to start."""

    chunk_id: int
    """The chunk."""
    seconds: float
    """When it is given up: it is too slow itself, or the chunk takes as long as it does."""


class Pace:
    """What the accepted attempts of a run let expect of the others.

    Args:
        costs: What each chunk is expected to cost, by id.
    """

    def __init__(self, costs: dict[int, float]) -> None:
        self._costs = costs
        self._ratios = RunningQuantile(QUANTILE)
        self._middles = RunningQuantile(0.5)
        self._ratio = self._middle = inf

    def add(self, chunk_id: int, seconds: float) -> None:
        """Count an attempt that was accepted."""
        self._ratios.add(seconds / self._costs[chunk_id])
        self._middles.add(self._costs[chunk_id])
        self._ratio, self._middle = self._ratios.value, self._middles.value

    def know(self, chunk_id: int, cost: float) -> None:
        """Add a chunk to those that there are."""
        self._costs[chunk_id] = cost

    @property
    def siblings(self) -> int:
        """Attempts that were counted."""
        return len(self._ratios)

    def expected(self, chunk_id: int) -> float:
        """Seconds that a chunk takes at most, if it is like three quarters of its siblings; infinity if none is known.

        A chunk of less cost than the middle sibling counts as one of that cost: starting a command may take most of
        its time.
        """
        return self._ratio * max(self._costs[chunk_id], self._middle)

    def limit(self, chunk_id: int) -> float:
        """Seconds after which a chunk is too slow: later where few siblings are known; infinity if too few are."""
        if self.siblings < LEAST_SIBLINGS:
            return inf
        return max(LEAST_SECONDS, BEYOND * (1 + 1 / sqrt(self.siblings)) * self.expected(chunk_id))


class Bucket:
    """What second attempts may cost: a share of the time that others take, and one of them in any case.

    One that wins costs nothing once it has: its chunk is rendered, in less time than its own attempt would have taken.

    Args:
        share: 0 to 1; 0 for no second attempts.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        """Seconds of second attempts for each second of others."""
        self.work_seconds = 0.0
        """Seconds of attempts that have ended: all but second ones that won nothing."""
        self.hedge_seconds = 0.0
        """Seconds of second attempts that have ended, and won nothing."""
        self.hedges = 0
        """Second attempts that were begun."""

    def affords(self, seconds: float, *, work: float, reserved: float) -> bool:
        """Whether a second attempt may begin.

        Args:
            seconds: What it is expected to take.
            work: Seconds for which first attempts have run that run now.
            reserved: Seconds that second attempts take that run now, or are expected to.
        """
        if self.share <= 0:
            return False
        earned = self.share * (self.work_seconds + work)
        return self.hedges == 0 or self.hedge_seconds + reserved + seconds <= earned


def choose_hedge(running: Iterable[Running], pace: Pace, bucket: Bucket) -> tuple[Hedge | None, float | None]:
    """Choose the chunk that is furthest beyond its limit, if a second attempt of it can be afforded.

    While fewer chunks were accepted than run, none is chosen: the first that end are the short ones.

    Args:
        running: The chunks that run now.
        pace: What their siblings let expect.
        bucket: What second attempts may cost.

    Returns:
        The second attempt; and in how many seconds to look again, though nothing happens before: None where that
        would show nothing.
    """
    now = list(running)
    if bucket.share <= 0 or pace.siblings < max(LEAST_SIBLINGS, len(now)):
        return None, None
    chosen, furthest, look_again = -1, 1.0, inf
    for one in now:
        if not one.may_hedge or one.hedge_seconds is not None or one.hedges >= MOST_HEDGES:
            continue
        limit = pace.limit(one.chunk_id)
        if one.seconds < limit:
            look_again = min(look_again, limit - one.seconds)
        elif one.seconds / limit >= furthest:
            chosen, furthest = one.chunk_id, one.seconds / limit
    if chosen < 0:
        return None, max(look_again, LOOK_SECONDS) if look_again < inf else None
    work = sum(one.seconds for one in now)
    reserved = sum(max(one.hedge_seconds, pace.expected(one.chunk_id)) for one in now if one.hedge_seconds is not None)
    if bucket.affords(pace.expected(chosen), work=work, reserved=reserved):
        return Hedge(chosen, seconds=pace.limit(chosen)), 0.0
    # What runs goes on earning: look when it will have earned enough.
    missing = bucket.hedge_seconds + reserved + pace.expected(chosen) - bucket.share * (bucket.work_seconds + work)
    earns = missing / (bucket.share * len(now))
    return None, max(min(earns, look_again), LOOK_SECONDS)
