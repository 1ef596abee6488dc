"""Interleaved runs, medians and ratios: a noisy machine disturbs all contestants alike.

A ratio is the median of the ratios in each round, whose runs met the machine in the same condition. The ratio of two
medians, which may be of different rounds, was 1.047, 1.041, 1.062 and 1.062 in four measurements where this ratio was
1.043, 1.032, 1.034 and 1.029 (16 chunks of two seconds, on a machine that grew slower and faster by a fifth).
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import BaseModel

from benchmarks.meters import ProcessMeter

Run = Callable[[], Awaitable[object]]
"""Runs a contestant once; a mapping that it returns has its own measures, which replace the measures taken here."""
WALL = "wall_seconds"


class Figure(BaseModel, frozen=True):
    """Several runs of one contestant."""

    name: str
    """The contestant's name."""
    samples: tuple[dict[str, float], ...]
    """Each run's measures, by name: elapsed time, CPU time, memory, or what the suite counts."""

    def median(self, measure: str = WALL) -> float:
        """The median of the runs' values."""
        return float(statistics.median(sample[measure] for sample in self.samples))

    def spread(self, measure: str = WALL) -> tuple[float, float]:
        """Lowest and highest value."""
        values = [sample[measure] for sample in self.samples]
        return min(values), max(values)

    def ratios(self, reference: "Figure", measure: str = WALL) -> tuple[float, ...]:
        """Each run's value, divided by the reference's value in the same round."""
        rounds = zip(self.samples, reference.samples, strict=True)
        return tuple(own[measure] / other[measure] for own, other in rounds)


class Column(BaseModel, frozen=True):
    """A measure to show."""

    measure: str
    """The measure's name in samples."""
    heading: str
    """The column's heading, with the unit."""
    scale: float = 1.0
    """Values are multiplied by it."""
    digits: int = 2
    """Digits after the decimal point."""


class Goal(BaseModel, frozen=True):
    """A bound for a measured value."""

    text: str
    """The goal in words, with the bound."""
    value: float
    """What was measured."""
    most: float
    """The bound."""

    @property
    def is_met(self) -> bool:
        """Whether the value is within its bound."""
        return self.value <= self.most


class Table(BaseModel, frozen=True):
    """Contestants that were measured side by side."""

    title: str
    """What was done."""
    figures: tuple[Figure, ...]
    """In the order of their lines."""
    reference: str | None = None
    """Name of the figure with which the others are compared."""
    ratio_of: str = WALL
    """The measure of the ratios; its spread is shown."""
    columns: tuple[Column, ...] = (Column(measure=WALL, heading="s"),)
    """Measures to show beside the ratio."""
    note: str = ""
    """A line below the table."""
    goals: tuple[Goal, ...] = ()
    """Bounds for values of the table."""

    def figure(self, name: str) -> Figure:
        """Find a figure by its name."""
        return next(figure for figure in self.figures if figure.name == name)

    def ratios(self, figure: Figure) -> tuple[float, ...]:
        """A figure's ratios to the reference, lowest first; none without a reference."""
        reference = next((one for one in self.figures if one.name == self.reference), None)
        return tuple(sorted(figure.ratios(reference, self.ratio_of))) if reference else ()

    def ratio(self, figure: Figure) -> float | None:
        """The median of a figure's ratios."""
        ratios = self.ratios(figure)
        return statistics.median(ratios) if ratios else None

    def to_markdown(self) -> str:
        """A table with a line for each figure: medians and ratio, each with the lowest and the highest."""
        headings = ["", *(column.heading for column in self.columns), "lowest to highest", "ratio", "runs"]
        lines = [f"**{self.title}**", "", _row(headings), _row(["---"] * len(headings))]
        for figure in self.figures:
            shown = next((one for one in self.columns if one.measure == self.ratio_of), self.columns[0])
            low, high = (f"{value * shown.scale:.{shown.digits}f}" for value in figure.spread(self.ratio_of))
            values = [_value(figure, column) for column in self.columns]
            lines.append(
                _row([figure.name, *values, f"{low} to {high}", self._ratio(figure), str(len(figure.samples))])
            )
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])

    def _ratio(self, figure: Figure) -> str:
        if figure.name == self.reference:
            return "1"
        ratios = self.ratios(figure)
        return f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})" if ratios else ""


async def compare(
    contestants: Mapping[str, Run],
    *,
    runs: int,
    settle: Callable[[], Awaitable[None]] | None = None,
    meters: Sequence[ProcessMeter] = (),
    settled_meters: Sequence[ProcessMeter] = (),
) -> tuple[Figure, ...]:
    """Run every contestant in turn, `runs` times, every second time in reverse, so that none always comes first.

    Args:
        contestants: What to run, by name.
        runs: Runs of each contestant.
        settle: Awaited after each run and not timed, so that no run pays for the run before.
        meters: Processes to measure from a run's start to its end.
        settled_meters: Processes to measure from a run's start to the end of `settle`, which includes later work.
    """
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for number in range(runs):
        order = list(contestants.items())
        for name, run in reversed(order) if number % 2 else order:
            for meter in (*meters, *settled_meters):
                meter.start()
            started = time.perf_counter()
            own = await run()
            taken = {WALL: time.perf_counter() - started}
            for meter in meters:
                taken |= meter.read()
            if settle is not None:
                await settle()
            for meter in settled_meters:
                taken |= meter.read()
            if isinstance(own, Mapping):
                taken |= own
            samples[name].append(taken)
    return tuple(Figure(name=name, samples=tuple(taken)) for name, taken in samples.items())


def _value(figure: Figure, column: Column) -> str:
    if column.measure not in figure.samples[0]:
        return ""
    return f"{figure.median(column.measure) * column.scale:.{column.digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
