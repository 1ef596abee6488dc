"""Interleaved runs, medians and ratios: a noisy machine is noisy for all that is compared."""

import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One run."""

    wall_seconds: float
    """Elapsed time."""
    cpu_seconds: float
    """CPU time of this process, without its children."""


@dataclass(frozen=True)
class Figure:
    """Several runs of one thing."""

    name: str
    """What ran."""
    samples: tuple[Sample, ...]
    """Its runs."""

    def median(self, field: str = "wall_seconds") -> float:
        """The middle run's value of a field of `Sample`."""
        return float(statistics.median(getattr(sample, field) for sample in self.samples))

    def spread(self, field: str = "wall_seconds") -> str:
        """Lowest and highest value."""
        values = sorted(getattr(sample, field) for sample in self.samples)
        return f"{values[0]:.2f} to {values[-1]:.2f}"


async def compare(
    contestants: Mapping[str, Callable[[], Awaitable[None]]],
    *,
    runs: int,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> list[Figure]:
    """Run every contestant in turn, `runs` times over.

    Args:
        contestants: What to run, by name.
        runs: How often.
        settle: Awaited after each run, outside the measurement, so that no run pays for the one before.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, run in contestants.items():
            samples[name].append(await _sample(run))
            if settle is not None:
                await settle()
    return [Figure(name, tuple(taken)) for name, taken in samples.items()]


async def _sample(run: Callable[[], Awaitable[None]]) -> Sample:
    cpu, wall = _cpu_seconds(), time.perf_counter()
    await run()
    return Sample(time.perf_counter() - wall, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def table(title: str, figures: list[Figure]) -> str:
    """Write figures as a table, each with its ratio to the last one, the reference."""
    reference = figures[-1].median()
    lines = [title, "", "| | median s | lowest to highest | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {figure.name} | {figure.median():.2f} | {figure.spread()} | {figure.median() / reference:.3f} |"
        for figure in figures
    ]
    return "\n".join(lines) + "\n"


def peak_mb() -> float:
    """Peak resident memory of this process; on Linux without what it inherits from its parent's peak."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
