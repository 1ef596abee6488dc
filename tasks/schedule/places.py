"""Where a chunk is rendered, of several places: where it is expected to finish first."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tasks.schedule.bench import Bench
from tasks.schedule.line import Line
from tasks.schedule.speed import Speed

ALIKE = 1.1
"""Places that finish a chunk within this factor of the first one are alike; the cheaper one gets it."""
LOOK_SECONDS = 0.5
"""Between two looks while a chunk waits for a faster place, which may take longer than expected."""
LEAST_LOOK_SECONDS = 0.01
"""Between two looks at least: of a pause, rounding leaves a little."""
AVOIDED_AFTER = 2
"""A place is avoided by a chunk after so many points: a command that failed there has two, an environment one."""


@dataclass(frozen=True)
class Place:
    """One kind of workers, as the policy sees it. Their order is that of the list in which they are given."""

    name: str
    """The name."""
    bound: int
    """Chunks of the run that it has at a time, at least 1."""
    cost_per_hour: float = 0.0
    """What an hour of one chunk's rendering costs there, in any currency, the same for all places."""


class Ended(StrEnum):
    """How an attempt ended, as far as that says something of its place."""

    ACCEPTED = "accepted"
    """Its output was accepted."""
    COMMAND = "command"
    """Its command failed, or could not be run."""
    ENVIRONMENT = "environment"
    """Its place failed."""
    STOPPED = "stopped"
    """It was stopped: nothing is known."""


class Wanted(NamedTuple):
    """An attempt that waits for a place."""

    chunk_id: int
    """Its chunk."""
    beside: str | None = None
    """The place of the attempt that runs already: another one is better."""
    barred: frozenset[str] = frozenset()
    """Places that can't have it."""


class Change(NamedTuple):
    """A place that is benched, or back."""

    name: str
    """The place."""
    pause: float | None
    """Seconds until it is tried again; None where it is back."""


class Choice(NamedTuple):
    """Which of the attempts that wait start now."""

    given: dict[int, str]
    """The place of each that starts, by its position among those that wait."""
    again: float | None
    """In how many seconds to ask again, though nothing happens before; None for not before something happens."""


@dataclass(eq=False)
class Begun:
    """An attempt at a place."""

    place: str
    """The place."""
    chunk_id: int
    """Its chunk."""
    began: float
    """When the place got it."""


@dataclass(eq=False)
class Known:
    """What is known of a place."""

    place: Place
    """The place."""
    order: int
    """Where it stands in the list."""
    speed: Speed = field(default_factory=Speed)
    """How fast it is."""
    bench: Bench = field(default_factory=Bench)
    """Whether it gets chunks."""
    running: set[Begun] = field(default_factory=set)
    """Its attempts."""
    ends: Counter[Ended] = field(default_factory=Counter)
    """How attempts ended."""
    strikes: int = 0
    """Chunks whose command failed here, and whose output was accepted from elsewhere."""


class Placement:
    """Which place gets which chunk, in one run. A decision costs about the number of attempts that wait.

    Args:
        places: The places, at least one; the first one is preferred where nothing is known.
        costs: What each chunk is expected to cost, by id.
    """

    def __init__(self, places: Sequence[Place], costs: Mapping[int, float]) -> None:
        self.known = {place.name: Known(place, order) for order, place in enumerate(places)}
        """What is known of each place, by its name."""
        self._costs = costs
        self._points: dict[int, Counter[str]] = {}
        self._failed: dict[int, set[str]] = {}

    def begin(self, name: str, chunk_id: int, now: float) -> Begun:
        """Give a place an attempt."""
        begun = Begun(name, chunk_id, now)
        self.known[name].running.add(begun)
        return begun

    def end(
        self, begun: Begun, how: Ended, now: float, *, seconds: float = 0.0, render_seconds: float = 0.0
    ) -> list[Change]:
        """Count the end of an attempt.

        Args:
            begun: The attempt.
            how: How it ended.
            now: The moment.
            seconds: How long a worker of the place had it, where it was accepted.
            render_seconds: For how much of that the command ran.

        Returns:
            The places that are benched, or back.
        """
        known = self.known[begun.place]
        known.running.discard(begun)
        known.ends[how] += 1
        if how is Ended.ACCEPTED:
            if seconds > 0:
                known.speed.add(self._costs[begun.chunk_id], seconds=seconds, render_seconds=render_seconds)
            back = [Change(begun.place, None)] if known.bench.note_accepted() else []
            return back + self._strike(begun, now)
        if how is Ended.STOPPED:
            return []
        points = self._points.setdefault(begun.chunk_id, Counter())
        if how is Ended.COMMAND:
            self._failed.setdefault(begun.chunk_id, set()).add(begun.place)
            points[begun.place] += AVOIDED_AFTER
            pause = known.bench.note_doubt(begun.began, now)
        else:
            points[begun.place] += 1
            pause = known.bench.note_failure(begun.began, now)
        return [] if pause is None else [Change(begun.place, pause)]

    def slowness(self, name: str) -> float:
        """How many times as long a place's commands take as those of the first place whose speed is known."""
        known = [one.speed for one in self.known.values() if one.speed.is_known]
        own = self.known[name].speed
        return own.rate / known[0].rate if own.is_known and known[0].rate > 0 and own.rate > 0 else 1.0

    def leave(self, begun: Begun) -> None:
        """Have an attempt's slot back, before it is known what the attempt came to."""
        self.known[begun.place].running.discard(begun)

    def note_away(self, name: str, now: float) -> Change:
        """Bench a place at once, which can't be reached, or whose probe did not come that far."""
        bench = self.known[name].bench
        pause = None
        while pause is None:
            pause = bench.note_failure(math.inf, now)
        return Change(name, pause)

    def decide(self, wanted: Sequence[Wanted], now: float, *, backlog: float = 0.0) -> Choice:
        """Choose which attempts start now, and where; the others wait for a place that finishes them earlier.

        Args:
            wanted: The attempts that wait, in the order in which they are to start.
            now: The moment.
            backlog: What the chunks are expected to cost together that nobody has asked a place for yet.
        """
        lines = self._lines(now)
        given: dict[int, str] = {}
        for position, one in enumerate(wanted):
            if not any(line.free for line in lines):
                break
            if (line := self._earliest(one, lines)) is not None and line.take(self._costs[one.chunk_id]) == 0:
                given[position] = line.name
        left = [position for position in range(len(wanted)) if position not in given]
        self._fill(wanted, left, lines, given, backlog)
        return Choice(given, self._again(lines, now, waits=len(given) < len(wanted)))

    def _strike(self, begun: Begun, now: float) -> list[Change]:
        """A command that failed elsewhere, and not here, failed by the fault of those places."""
        changes = []
        self._points.pop(begun.chunk_id, None)
        for name in sorted(self._failed.pop(begun.chunk_id, set()) - {begun.place}):
            self.known[name].strikes += 1
            if (pause := self.known[name].bench.note_failure(now, now)) is not None:
                changes.append(Change(name, pause))
        return changes

    def _lines(self, now: float) -> list[Line]:
        """The places that may be used now."""
        rates = [one.speed for one in self.known.values() if one.speed.is_known]
        lines = []
        for one in self.known.values():
            bound = one.bench.at_most(one.place.bound, now)
            if bound == 0:
                continue
            speeds = [one.speed] if one.speed.is_known else rates
            least = 0.0 if one.speed.is_known else self._least_rate(one, now)
            running = [(self._costs[begun.chunk_id], now - begun.began) for begun in one.running]
            lines.append(Line(one.place.name, order=one.order, price=one.place.cost_per_hour, bound=bound,
                              speeds=speeds, least_rate=least, running=running))  # fmt: skip
        return lines

    def _least_rate(self, one: Known, now: float) -> float:
        """Seconds for each unit of cost that a place takes at least, by the attempts that it has not ended."""
        return max(((now - begun.began) / self._costs[begun.chunk_id] for begun in one.running), default=0.0)

    def _earliest(self, one: Wanted, lines: Sequence[Line]) -> Line | None:
        """The place that finishes it first; of those that are alike, the cheaper one, then the first in the list."""
        if not (able := self._able(one, lines)):
            return None
        cost = self._costs[one.chunk_id]
        if not any(line.is_known for line in able):  # then nothing says that it is worth waiting
            return min(able, key=lambda line: (line.free == 0, line.order))
        ends = {line.name: line.finish(cost) for line in able}
        first = min(ends.values()) * ALIKE
        return min((line for line in able if ends[line.name] <= first), key=lambda line: (line.price, line.order))

    def _able(self, one: Wanted, lines: Sequence[Line]) -> list[Line]:
        """The places that an attempt may have, without those that are worse than others."""
        # A second attempt takes a free slot, or none: what it waits for may be its chunk's own attempt.
        able = [line for line in lines if line.name not in one.barred and (line.free or one.beside is None)]
        points = self._points.get(one.chunk_id, Counter())
        penalties = {line.name: points[line.name] // AVOIDED_AFTER + (line.name == one.beside) for line in able}
        least = min(penalties.values(), default=0)
        return [line for line in able if penalties[line.name] == least]

    def _fill(
        self, wanted: Sequence[Wanted], left: list[int], lines: Sequence[Line], given: dict[int, str], backlog: float
    ) -> None:
        """Give what waits for faster places to free ones, where all that is to be done keeps those busy for longer."""
        undone = backlog + sum(self._costs[wanted[position].chunk_id] for position in left)
        for line in lines:
            others = [other for other in lines if other is not line]
            while line.free and left and backlog > 0:
                one, cost = wanted[left[-1]], self._costs[wanted[left[-1]].chunk_id]
                if one.beside is not None or line not in self._able(one, lines):
                    break
                within = line.seconds(cost)
                if undone <= sum(other.capacity(within, cost) for other in others):
                    break
                line.take(cost)
                given[left.pop()] = line.name
                undone -= cost

    def _again(self, lines: Sequence[Line], now: float, *, waits: bool) -> float | None:
        if not waits:
            return None
        pauses = [left for one in self.known.values() if (left := one.bench.pause_left(now)) > 0]
        looks = [LOOK_SECONDS] if any(line.free for line in lines) else []
        again = min([*pauses, *looks], default=None)
        return None if again is None else max(again, LEAST_LOOK_SECONDS)
