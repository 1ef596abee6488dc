"""One attempt in twenty takes ten times as long: a real job, with and without second attempts, beside its simulation.

Each round draws other chunks, and the policy in virtual time (`benchmarks.virtual_time`) gets the very same draw.
Chunks sleep for seconds, so that neither the processors nor the start of a chunk count.
"""

import asyncio
import random
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Figure, Goal, Run, Table, compare
from benchmarks.servers import server
from benchmarks.virtual_time import Fate, Order, Outcome, Simulation
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

LEAST, MOST, SLOWER, EVERY = 2.0, 4.0, 10, 20
"""Seconds of a chunk, drawn between these; one in so many is so many times as slow."""
AT_ONCE = 4
HEDGE = 0.05
RUNS = 4
"""Rounds at most: one takes two minutes."""
PLAIN, HEDGED = "this flow", f"this flow, --hedge {HEDGE:g}"
MOST_OFF, MOST_BOUND, MOST_WORK, MOST_SPREAD = 0.1, 1.1, 0.05, 1.5
"""How far a run may be from its simulation; and the wall time over the bound, the additional work, and the slowest
round over the median round of a job with second attempts."""


@dataclass(frozen=True)
class Draw:
    """A job as it was drawn."""

    seconds: tuple[float, ...]
    """What each chunk takes."""
    slow: frozenset[int]
    """Chunks whose first attempt is slow."""

    def first(self, chunk: int) -> float:
        """How long a chunk's first attempt takes."""
        return round(self.seconds[chunk] * (SLOWER if chunk in self.slow else 1), 3)

    @property
    def bound(self) -> float:
        """No schedule of the first attempts takes less, nor one that knows the slow ones beforehand."""
        return max(sum(map(self.first, range(len(self.seconds)))) / AT_ONCE, max(self.seconds))


def draw(chunks: int, seed: int) -> Draw:
    """Draw a job."""
    numbers = random.Random(seed)  # noqa: S311  reproducible, and no secret
    seconds = tuple(round(numbers.uniform(LEAST, MOST), 3) for _ in range(chunks))
    return Draw(seconds, frozenset(numbers.sample(range(chunks), chunks // EVERY)))


def measure(extent: Extent) -> list[Table]:
    """Measure rounds of drawn jobs."""
    chunks = extent.stragglers
    with server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
        contestants = {PLAIN: _contestant(folder, chunks, hedge=0.0), HEDGED: _contestant(folder, chunks, hedge=HEDGE)}
        plain, hedged = asyncio.run(compare(contestants, runs=min(extent.runs, RUNS)))
    title = (
        f"{chunks} chunks of {LEAST:g} to {MOST:g} s, of which the first attempt of one in {EVERY} takes {SLOWER} "
        f"times as long, {AT_ONCE} at a time; another draw in each round"
    )
    columns = (
        Column(measure=WALL, heading="s of rendering"),
        Column(measure="simulated", heading="s simulated"),
        Column(measure="off", heading="over simulated"),
        Column(measure="bound", heading="over the bound"),
        Column(measure="work", heading="more work, %", scale=100, digits=1),
        Column(measure="hedges", heading="second attempts", digits=0),
        Column(measure="simulated_hedges", heading="simulated", digits=0),
    )
    spread = max(one[WALL] for one in hedged.samples) / hedged.median()
    steady = f"{HEDGED}: the slowest round at most {MOST_SPREAD} times the median"
    goals = (
        *(_goal(figure) for figure in (plain, hedged)),
        Goal(text=f"{HEDGED}: at most {MOST_BOUND} times the bound", value=hedged.median("bound"), most=MOST_BOUND),
        Goal(text=f"{HEDGED}: at most {MOST_WORK:.0%} more work", value=hedged.median("work"), most=MOST_WORK),
        Goal(text=steady, value=spread, most=MOST_SPREAD),
    )  # fmt: skip
    return [Table(title=title, figures=(plain, hedged), reference=PLAIN, columns=columns, goals=goals)]


def simulate(drawn: Draw, *, hedge: float) -> Outcome:
    """Render the job in virtual time."""

    def fate(chunk: int, number: int, _slot: int) -> Fate:
        return Fate(drawn.first(chunk) if number == 1 else drawn.seconds[chunk])

    frames = [1] * len(drawn.seconds)
    return Simulation(frames, slots=AT_ONCE, draw=fate, order=Order("", hedge=hedge)).run()


def _contestant(folder: Path, chunks: int, *, hedge: float) -> Run:
    seeds = count()
    return lambda: _render(folder, draw(chunks, next(seeds)), hedge=hedge)


def _goal(figure: Figure) -> Goal:
    off = statistics.median(abs(sample["off"] - 1) for sample in figure.samples)
    return Goal(text=f"{figure.name} is within {MOST_OFF:.0%} of its simulation", value=off, most=MOST_OFF)


def _job(drawn: Draw) -> dict[str, object]:
    chunks = len(drawn.seconds)
    script = 'if mkdir tried/{} 2>/dev/null; then sleep {}; else sleep {}; fi; ln -f clip.mp4 "$0"'
    return {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {
                "id": n,
                "startFrame": n,
                "frameCount": 1,
                "outputFile": f"c{n}.mp4",
                "command": f"sh -c '{script.format(n, drawn.first(n), drawn.seconds[n])}' c{n}.mp4",
            }
            for n in range(chunks)
        ],
    }


async def _render(folder: Path, drawn: Draw, *, hedge: float) -> dict[str, float]:
    job, tried = write_job(folder, _job(drawn)), folder / "tried"
    shutil.rmtree(tried, ignore_errors=True)
    tried.mkdir()
    report = await render_job(str(job), concurrency=AT_ONCE, hedge=hedge)
    assert isinstance(report, JobReport)
    assert report.frames == len(drawn.seconds)
    attempts = [one for chunk in report.chunks for one in chunk.timeline]
    wall = max(one.ended or 0.0 for one in attempts) - min(one.started or one.began for one in attempts)
    simulated, first = simulate(drawn, hedge=hedge), sum(map(drawn.first, range(len(drawn.seconds))))
    return {
        WALL: wall,
        "simulated": simulated.wall,
        "off": wall / simulated.wall,
        "bound": wall / drawn.bound,
        "work": sum(one.seconds for one in attempts) / first - 1,
        "hedges": report.hedge.attempts if report.hedge else 0,
        "simulated_hedges": simulated.hedges,
    }
