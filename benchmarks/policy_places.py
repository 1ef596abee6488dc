"""`python -m benchmarks.policy_places`: several places in virtual time, against any free slot, and the bound.

The places are chosen by `tasks.schedule.places`, the same that a live run calls. No schedule takes less than the bound:
what all slots do together while their places work, with no slot ever idle.
"""

import argparse
import heapq
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path

from benchmarks.policy import fill
from benchmarks.policy_worlds import jitter_of
from tasks.schedule.place import Begun, Ended, Place, Wanted
from tasks.schedule.places import Placement

RETRY_SECONDS = 1.0
"""Before a chunk whose attempt failed is tried again, as the flow's default is."""
GIVEN_UP = 5
"""A run that takes so many times the bound is taken to have no end."""
DRAWS = 8
MARK = "places"


@dataclass(frozen=True)
class Workers:
    """One place as it really is."""

    name: str
    """For people."""
    slots: int
    """Chunks at a time."""
    seconds: float
    """What a chunk takes, without its start-up."""
    start_up: float = 0.0
    """What each attempt takes beside that."""
    away: tuple[float, float] = (inf, inf)
    """From when to when everything there fails at once."""
    price: float = 0.0
    """An hour of a chunk's rendering."""

    def works(self, until: float) -> float:
        """Chunks that it can render up to a moment."""
        off = max(0.0, min(until, self.away[1]) - self.away[0])
        return self.slots * (until - off) / (self.seconds + self.start_up)


@dataclass(frozen=True)
class World:
    """A job and its places."""

    name: str
    """For people."""
    chunks: int
    """Equal chunks, of ordinary jitter."""
    places: Sequence[Workers]
    """The places, in the order of the list."""

    @property
    def bound(self) -> float:
        """When all slots together have rendered all chunks, whole or in parts."""
        low, high = 0.0, 1.0
        while sum(place.works(high) for place in self.places) < self.chunks:
            high *= 2
        for _ in range(60):
            middle = (low + high) / 2
            is_enough = sum(place.works(middle) for place in self.places) >= self.chunks
            low, high = (low, middle) if is_enough else (middle, high)
        return max(high, min(place.seconds + place.start_up for place in self.places))


WORLDS = (
    World("like places", 200, (Workers("a", 4, 10.0), Workers("b", 4, 10.0))),
    World("one 4 times as fast", 200, (Workers("slow", 4, 40.0), Workers("fast", 4, 10.0))),
    World("one 20 times as fast", 200, (Workers("slow", 4, 200.0), Workers("fast", 4, 10.0))),
    World("a start-up of two chunks' time", 200, (Workers("near", 4, 10.0), Workers("far", 16, 10.0, 20.0))),
    World("the faster one dies", 200, (Workers("slow", 4, 20.0), Workers("fast", 8, 10.0, away=(80.0, inf)))),
    World("it comes back after 100 s", 200, (Workers("slow", 4, 20.0), Workers("fast", 8, 10.0, away=(80.0, 180.0)))),
    World("one never works", 200, (Workers("broken", 8, 10.0, away=(0.0, inf)), Workers("sound", 4, 10.0))),
    World("8 chunks, 4 times as fast", 8, (Workers("slow", 4, 40.0), Workers("fast", 4, 10.0))),
)


@dataclass
class Outcome:
    """What a run in virtual time came to."""

    wall: float = 0.0
    """Seconds until the last chunk was accepted."""
    failed: int = 0
    """Attempts that failed."""
    most_failed: int = 0
    """Of one chunk."""


class Simulation:
    """One run.

    Args:
        world: The job and its places.
        seed: Draws the jitter.
        is_chosen: Whether the policy chooses; else an attempt takes any free slot, in the list's order.
        least_end: Before this moment it is not taken to have no end.
        jitter: A factor of an attempt's time, by a text that names the attempt.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        is_chosen: bool,
        least_end: float = 0.0,
        jitter: Callable[[str], float] = jitter_of,
    ) -> None:
        self._world = world
        self._seed = seed
        self._jitter = jitter
        self._is_chosen = is_chosen
        self._workers = {place.name: place for place in world.places}
        places = [Place(place.name, place.slots, place.price) for place in world.places]
        self._placement = Placement(places, dict.fromkeys(range(world.chunks), 1.0))
        self._slots = sum(place.slots for place in world.places)
        self._pending = list(range(world.chunks))[::-1]
        self._waiting: list[int] = []
        self._tries = [0] * world.chunks
        self._busy = 0
        self._left = world.chunks
        self._end_by = max(GIVEN_UP * world.bound, least_end)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._now = 0.0
        self._look_at = inf
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Run it to its end."""
        self._look()
        while self._left:
            if self._now > self._end_by:
                self._outcome.wall = inf
                return self._outcome
            self._now, _, event = heapq.heappop(self._events)
            event()
            self._look()
        self._outcome.wall = self._now
        return self._outcome

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def _look(self) -> None:
        while self._pending and self._busy < self._slots:  # a puller takes the next chunk, and asks for a place
            self._busy += 1
            self._waiting.append(self._pending.pop())
        wanted = [Wanted(chunk) for chunk in self._waiting]
        given, again = dict(self._any()), None
        if self._is_chosen:
            given, again = self._placement.decide(wanted, self._now, backlog=float(len(self._pending)))
        for position, name in given.items():
            self._start(wanted[position].chunk_id, name)
        self._waiting = [one.chunk_id for position, one in enumerate(wanted) if position not in given]
        if again is not None and not self._now < self._look_at <= self._now + again:
            self._look_at = self._now + again
            self._at(self._look_at, lambda: None)

    def _any(self) -> Iterator[tuple[int, str]]:
        free = [
            known.place.name
            for known in self._placement.known.values()
            for _ in range(known.place.bound - len(known.running))
        ]
        return zip(range(len(self._waiting)), free, strict=False)

    def _start(self, chunk: int, name: str) -> None:
        workers = self._workers[name]
        self._tries[chunk] += 1
        render = workers.seconds * self._jitter(f"{self._seed} {chunk} {self._tries[chunk]}")
        begun, ends = self._placement.begin(name, chunk, self._now), self._now + workers.start_up + render
        gone, back = workers.away
        if gone < ends and self._now < back:
            self._at(max(self._now + 0.1, gone), lambda: self._end(begun, None))
        else:
            self._at(ends, lambda: self._end(begun, render))

    def _end(self, begun: Begun, render: float | None) -> None:
        how = Ended.ENVIRONMENT if render is None else Ended.ACCEPTED
        seconds = self._now - begun.began
        self._placement.end(begun, how, self._now, seconds=seconds, render_seconds=render or 0.0)
        if render is None:
            self._outcome.failed += 1
            self._outcome.most_failed = max(self._outcome.most_failed, self._tries[begun.chunk_id])
            self._at(self._now + RETRY_SECONDS, lambda: self._waiting.append(begun.chunk_id))
        else:
            self._busy -= 1
            self._left -= 1


def main() -> None:
    """Simulate, and write the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.policy_places", description="Simulate several places.")
    parser.add_argument("--document", type=Path, help="put the table into this document")
    words = parser.parse_args()
    text = to_markdown(WORLDS)
    if words.document is not None:
        fill(words.document, text, mark=MARK)
    print(text)


def to_markdown(worlds: Sequence[World]) -> str:
    """A row for each world."""
    lines = [
        "| places | the bound | any free slot | chosen | worst draw | attempts that failed | most of one chunk |",
        "|---|---|---|---|---|---|---|",
    ]
    for world in worlds:
        plain, chosen = (
            [Simulation(world, seed, is_chosen=way).run() for seed in range(DRAWS)] for way in (False, True)
        )
        ratios = [statistics.median(one.wall for one in own) / world.bound for own in (plain, chosen)]
        worst = max(one.wall for one in chosen) / world.bound
        failed = statistics.median(one.failed for one in chosen)
        most = max(one.most_failed for one in chosen)
        cells = (
            f"{world.bound:.0f} s",
            *(f"{ratio:.2f}" if ratio < inf else "no end" for ratio in (*ratios, worst)),
            f"{failed:g}",
            str(most),
        )
        lines.append(f"| {world.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
