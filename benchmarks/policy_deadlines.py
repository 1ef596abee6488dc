"""`python -m benchmarks.policy_deadlines`: places that a deadline opens, in virtual time, and what it costs.

The plan is that of `tasks.schedule.deadline`, made every half second as in a live run. No schedule that is in time
costs less than the bound: the cheapest slots, busy all the time up to the deadline.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.policy import fill
from benchmarks.policy_places import DRAWS, Simulation, Workers, World
from tasks.run.deadline import LOOK_SECONDS
from tasks.schedule.deadline import Plan, plan_slots
from tasks.schedule.expectation import Piece
from tasks.schedule.hedging import Running
from tasks.schedule.place import Begun
from tasks.schedule.policy import Schedule

MARK = "deadlines"
CHUNKS = 400
LOCAL, FARM = Workers("local", 4, 10.0, price=0.1), Workers("farm", 8, 10.0, price=1.0)
CLOUD = Workers("cloud", 50, 8.0, 2.0, price=5.0)
THREE = World("three places", CHUNKS, (LOCAL, FARM, CLOUD))
SLOW = World("a slow cheap place", CHUNKS, (Workers("old", 8, 40.0, price=0.1), FARM, CLOUD))
DYING = World(
    "the cheap place dies after 100 s", CHUNKS, (Workers("local", 4, 10.0, price=0.1, away=(100.0, 1e9)), FARM, CLOUD)
)
CASES = (
    *((THREE, deadline) for deadline in (1500.0, 600.0, 200.0, 90.0, 40.0)),
    (SLOW, 600.0),
    (DYING, 600.0),
)  # fmt: skip


@dataclass
class Told:
    """What the plans of a run came to, beside its wall time."""

    cost: float = 0.0
    """Of all attempts."""
    used: dict[str, float] = field(default_factory=dict)
    """Seconds of attempts at each place."""
    openings: int = 0
    """How often a place was opened."""
    late_at: float | None = None
    """When it was first said that the deadline can't be met."""


class DeadlineSimulation(Simulation):
    """One run with a deadline.

    Args:
        world: The job and its places.
        seed: Draws the jitter.
        deadline: Seconds from the beginning on; None for none.
    """

    def __init__(self, world: World, seed: int, *, deadline: float | None) -> None:
        super().__init__(world, seed, is_chosen=True, least_end=2 * (deadline or 0.0))
        self._deadline = deadline
        self._schedule = Schedule([Piece(chunk, 1) for chunk in range(world.chunks)], waiting=range(world.chunks))
        self._plan: Plan | None = None
        self.told = Told()
        """What its plans came to."""
        if deadline is not None:
            self._plan_again()

    def _plan_again(self) -> None:
        assert self._deadline is not None
        running = [
            Running(begun.chunk_id, self._now - begun.began, None, 0, may_hedge=False)
            for known in self._placement.known.values()
            for begun in known.running
        ]
        before = () if self._plan is None else tuple(self._plan.places)
        left = self._deadline - self._now
        self._plan = plan_slots(
            self._schedule.outlook(running), self._placement.options(self._now), left=left,
            most=sum(place.slots for place in self._workers.values()), now_open=before,
        )  # fmt: skip
        self.told.openings += len(self._plan.places.keys() - set(before))
        if not self._plan.is_in_time and self.told.late_at is None:
            self.told.late_at = self._now
        self._placement.allot(self._plan.places, ends=self._deadline)
        self._at(self._now + LOOK_SECONDS, self._plan_again)

    def _look(self) -> None:
        if self._deadline is not None:
            self._slots = self._placement.slots
        super()._look()

    def _end(self, begun: Begun, render: float | None) -> None:
        seconds = self._now - begun.began
        self.told.used[begun.place] = self.told.used.get(begun.place, 0.0) + seconds
        self.told.cost += seconds / 3600 * self._workers[begun.place].price
        self._schedule.note_attempt(begun.chunk_id, seconds, accepted=render is not None)
        super()._end(begun, render)


def least_cost(world: World, deadline: float) -> float | None:
    """What the cheapest slots cost that do it, busy up to the deadline; None where all of them don't."""
    left, cost = float(world.chunks), 0.0
    for place in sorted(world.places, key=lambda place: place.price * (place.seconds + place.start_up)):
        count = min(left, place.works(deadline))
        cost += count * (place.seconds + place.start_up) / 3600 * place.price
        left -= count
    return cost if left <= 1e-9 else None


def main() -> None:
    """Simulate, and write the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.policy_deadlines", description="Simulate deadlines.")
    parser.add_argument("--document", type=Path, help="put the table into this document")
    words = parser.parse_args()
    text = to_markdown(CASES)
    if words.document is not None:
        fill(words.document, text, mark=MARK)
    print(text)


def to_markdown(cases: Sequence[tuple[World, float]]) -> str:
    """A row for each deadline."""
    lines = [
        "| places | deadline | met | ends at (worst draw) | chunks' time at each place | opened | the least that "
        "it can cost | cost | without a deadline: ends at, cost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for world, deadline in cases:
        runs, plain = (
            [(one.run(), one.told) for seed in range(DRAWS) for one in [DeadlineSimulation(world, seed, deadline=by)]]
            for by in (deadline, None)
        )
        walls = [outcome.wall for outcome, _ in runs]
        least = least_cost(world, deadline)
        used = {place.name: statistics.median(told.used.get(place.name, 0.0) for _, told in runs)
                for place in world.places}  # fmt: skip
        late = [told.late_at for _, told in runs if told.late_at is not None]
        met = f"{sum(wall <= deadline for wall in walls)} of {DRAWS}"
        cells = (
            f"{deadline:.0f} s",
            met + (f"; said at {statistics.median(late):.1f} s" if late else ""),
            f"{statistics.median(walls):.0f} s ({max(walls):.0f} s)",
            ", ".join(f"{name} {share / sum(used.values()):.0%}" for name, share in used.items() if share),
            f"{statistics.median(told.openings for _, told in runs):g}",
            "no places do" if least is None else f"{least:.2f}",
            f"{statistics.median(told.cost for _, told in runs):.2f}",
            f"{statistics.median(outcome.wall for outcome, _ in plain):.0f} s, "
            f"{statistics.median(told.cost for _, told in plain):.2f}",
        )
        lines.append(f"| {world.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
