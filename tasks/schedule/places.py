"""Where a chunk is rendered, of several places: where it is expected to finish first."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tasks.schedule.deadline import Option, planned_seconds
from tasks.schedule.line import Line
from tasks.schedule.offer import Offer, choose_offer
from tasks.schedule.place import Begun, Change, Choice, Ended, Known, Place, Wanted

ALIKE = 1.1
"""Places that finish a chunk within this factor of the first one are alike; the cheaper one gets it."""
LOOK_SECONDS = 0.5
"""Between two looks while a chunk waits for a faster place, which may take longer than expected."""
LEAST_LOOK_SECONDS = 0.01
"""Between two looks at least: of a pause, rounding leaves a little."""
AVOIDED_AFTER = 2
"""A place is avoided by a chunk after so many points: a command that failed there has two, an environment one."""


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
        self._allotted: Mapping[str, int] | None = None
        self._ends = math.inf

    def allot(self, slots: Mapping[str, int], *, ends: float) -> None:
        """Open places as far as a deadline needs them, and close the others: what runs there goes on.

        Args:
            slots: Chunks at a time at each place that is open. A chunk that has failed at all of them may go elsewhere.
            ends: The moment of the deadline. From now on a chunk goes to the cheapest place that is done in time.
        """
        self._allotted, self._ends = slots, ends

    @property
    def slots(self) -> int:
        """Chunks at a time at the open places, and those that closed ones have still."""
        allotted = self._allotted or {}
        return sum(max(allotted.get(name, 0), len(one.running)) for name, one in self.known.items())

    def options(self, now: float, *, barred: Collection[str] = ()) -> list[Option]:
        """What each place could do for a deadline.

        Args:
            now: The moment.
            barred: Places that may have no chunk.
        """
        typical = sum(self._costs.values()) / max(len(self._costs), 1)
        timed = [one.speed for one in self.known.values() if one.speed.is_known]
        lines = {line.name: line for line in self._lines(now, is_planned=False)}
        count = sum(len(speed) for speed in timed)
        usual = sum(len(speed) * speed.expected(typical) for speed in timed) / max(count, 1)
        return [
            Option(
                name,
                bound=0 if name in barred or name not in lines else one.bench.at_most(one.place.bound, now),
                price=one.place.cost_per_hour,
                pace=lines[name].seconds(typical) / usual if usual > 0 and name in lines else 1.0,
            )
            for name, one in self.known.items()
        ]

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
            if (line := self._earliest(one, lines, now)) is not None and line.take(self._costs[one.chunk_id]) == 0:
                given[position] = line.name
        left = [position for position in range(len(wanted)) if position not in given]
        self._fill(wanted, left, lines, given, backlog, now)
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

    def _lines(self, now: float, *, is_planned: bool = True) -> list[Line]:
        """The places that may be used now; those that are closed have their whole bound.

        Args:
            now: The moment.
            is_planned: Whether open places have what a deadline allots to them, else their whole bound too.
        """
        rates = [one.speed for one in self.known.values() if one.speed.is_known]
        lines = []
        for one in self.known.values():
            bound = one.bench.at_most(one.place.bound, now)
            if bound == 0:
                continue
            allotted = bound if self._allotted is None or not is_planned else self._allotted.get(one.place.name, 0)
            speeds = [one.speed] if one.speed.is_known else rates
            least = 0.0 if one.speed.is_known else self._least_rate(one, now)
            running = [(self._costs[begun.chunk_id], now - begun.began) for begun in one.running]
            lines.append(Line(one.place.name, order=one.order, price=one.place.cost_per_hour, speeds=speeds,
                              bound=min(bound, allotted or bound), least_rate=least, running=running,
                              is_open=allotted > 0))  # fmt: skip
        return lines

    def _least_rate(self, one: Known, now: float) -> float:
        """Seconds for each unit of cost that a place takes at least, by the attempts that it has not ended."""
        return max(((now - begun.began) / self._costs[begun.chunk_id] for begun in one.running), default=0.0)

    def _earliest(self, one: Wanted, lines: Sequence[Line], now: float) -> Line | None:
        """The place that finishes it first; of those that are alike, the cheaper one, then the first in the list.

        With a deadline the cheapest one that finishes it in time, if one does.
        """
        if not (able := self._able(one, lines)):
            return None
        cost = self._costs[one.chunk_id]
        if not any(line.is_known for line in able):  # then nothing says that it is worth waiting
            has_plan = self._allotted is not None
            return min(able, key=lambda line: (line.free == 0, line.price if has_plan else 0.0, line.order))
        ends = {line.name: line.finish(cost) for line in able}
        if self._allotted is not None:
            offers = [Offer(line.name, line.price * line.seconds(cost), ends[line.name]) for line in able]
            left = {line.name: planned_seconds(self._ends - now, line.seconds(cost)) for line in able}
            found = choose_offer(offers, seconds_left=left).place
            return next(line for line in able if line.name == found)
        first = min(ends.values()) * ALIKE
        return min((line for line in able if ends[line.name] <= first), key=lambda line: (line.price, line.order))

    def _able(self, one: Wanted, lines: Sequence[Line]) -> list[Line]:
        """The places that an attempt may have, without those that are worse than others."""
        # A second attempt takes a free slot, or none: what it waits for may be its chunk's own attempt.
        able = [line for line in lines if line.name not in one.barred and (line.free or one.beside is None)]
        points = self._points.get(one.chunk_id, Counter())
        opened = [line for line in able if line.is_open]
        if not points or any(points[line.name] < AVOIDED_AFTER for line in opened):
            able = opened
        penalties = {line.name: points[line.name] // AVOIDED_AFTER + (line.name == one.beside) for line in able}
        least = min(penalties.values(), default=0)
        return [line for line in able if penalties[line.name] == least]

    def _fill(
        self, wanted: Sequence[Wanted], left: list[int], lines: Sequence[Line], given: dict[int, str], backlog: float,
        now: float,
    ) -> None:  # fmt: skip
        """Give what waits for faster places to free ones, where all that is to be done keeps those busy for longer."""
        undone = backlog + sum(self._costs[wanted[position].chunk_id] for position in left)
        for line in lines:
            others = [other for other in lines if other is not line and other.is_open]
            while line.free and left and backlog > 0:
                one, cost = wanted[left[-1]], self._costs[wanted[left[-1]].chunk_id]
                if one.beside is not None or line not in self._able(one, lines):
                    break
                within = line.seconds(cost)
                is_late, *late = (self._is_late(one, cost, now) for one in (line, *others))
                if (is_late and not all(late)) or undone <= sum(other.capacity(within, cost) for other in others):
                    break
                line.take(cost)
                given[left.pop()] = line.name
                undone -= cost

    def _is_late(self, line: Line, cost: float, now: float) -> bool:
        """Whether a chunk that starts now is not done by the deadline, where there is one."""
        seconds = line.seconds(cost)
        return seconds > planned_seconds(self._ends - now, seconds)

    def _again(self, lines: Sequence[Line], now: float, *, waits: bool) -> float | None:
        if not waits:
            return None
        pauses = [left for one in self.known.values() if (left := one.bench.pause_left(now)) > 0]
        looks = [LOOK_SECONDS] if any(line.free for line in lines) else []
        again = min([*pauses, *looks], default=None)
        return None if again is None else max(again, LEAST_LOOK_SECONDS)
