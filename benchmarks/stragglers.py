"""One attempt in twenty takes ten times as long: the effect on a job, with and without second attempts.

`xargs -P` and the ideal stand beside it, and so does the policy's simulation (`benchmarks.virtual_time`) of the job.
"""

import asyncio
import math
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

from benchmarks.extent import Extent
from benchmarks.measure import Column, Figure, Goal, Run, Table, compare
from benchmarks.servers import server
from benchmarks.virtual_time import Fate, Order, Simulation
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

SECONDS, SLOWER, EVERY = 0.5, 10, 20
AT_ONCE = 8
HEDGE = 0.05
XARGS, PLAIN, HEDGED = "xargs -P", "this flow", f"this flow, --hedge {HEDGE:g}"
MOST_OFF = 0.1
"""How far a run may be from its simulation."""


def measure(extent: Extent) -> list[Table]:
    """Measure chunks that sleep: the processors are idle, so that only the order of the chunks counts."""
    chunks = extent.stragglers
    with server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
        job = write_job(folder, _job(chunks))
        contestants: dict[str, Run] = {
            PLAIN: lambda: _ours(job, chunks, hedge=0.0),
            HEDGED: lambda: _ours(job, chunks, hedge=HEDGE),
            XARGS: lambda: _xargs(chunks),
        }
        figures = asyncio.run(compare(contestants, runs=extent.runs))
    total = sum(_seconds(n) for n in range(chunks))
    ideal = max(total / AT_ONCE, SECONDS)
    title = (
        f"{chunks} chunks of {SECONDS:g} s, of which the first attempt of one in {EVERY} takes {SECONDS * SLOWER:g} s, "
        f"{AT_ONCE} at a time"
    )
    simulated = {PLAIN: simulate(chunks, hedge=0.0), HEDGED: simulate(chunks, hedge=HEDGE)}
    note = (
        f"The bound, of all first attempts over all slots and of a chunk that is not slow, is {ideal:.1f} s. "
        f"Simulated: {simulated[PLAIN]:.1f} s without second attempts, {simulated[HEDGED]:.1f} s with them."
    )
    columns = (
        Column(measure="wall_seconds", heading="s"),
        Column(measure="hedges", heading="second attempts", digits=0),
    )
    goals = tuple(_goal(figure, simulated[figure.name]) for figure in figures if figure.name in simulated)
    return [Table(title=title, figures=figures, reference=XARGS, columns=columns, note=note, goals=goals)]


def simulate(chunks: int, *, hedge: float) -> float:
    """How long the job takes in virtual time, in seconds."""

    def draw(chunk: int, number: int, _slot: int) -> Fate:
        return Fate(_seconds(chunk) if number == 1 else SECONDS)

    return Simulation([1] * chunks, slots=AT_ONCE, draw=draw, order=Order("", hedge=hedge)).run().wall


def _goal(figure: Figure, simulated: float) -> Goal:
    off = abs(figure.median() / simulated - 1)
    return Goal(text=f"{figure.name} is within {MOST_OFF:.0%} of its simulation", value=off, most=MOST_OFF)


def _seconds(number: int) -> float:
    """How long a chunk's first attempt takes."""
    # Slow chunks are spread over the job, and the last of them is near its end, where it costs most.
    return SECONDS * (SLOWER if number % EVERY == EVERY - math.ceil(EVERY / 4) else 1)


def _job(chunks: int) -> dict[str, object]:
    script = 'if mkdir tried/{} 2>/dev/null; then sleep {}; else sleep {}; fi; ln -f clip.mp4 "$0"'
    return {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {
                "id": n,
                "startFrame": n,
                "frameCount": 1,
                "outputFile": f"c{n}.mp4",
                "command": f"sh -c '{script.format(n, _seconds(n), SECONDS)}' c{n}.mp4",
            }
            for n in range(chunks)
        ],
    }


async def _ours(job: Path, chunks: int, *, hedge: float) -> dict[str, float]:
    tried = job.parent / "tried"
    shutil.rmtree(tried, ignore_errors=True)
    tried.mkdir()
    report = await render_job(str(job), concurrency=AT_ONCE, hedge=hedge)
    assert isinstance(report, JobReport)
    assert report.frames == chunks
    return {"hedges": report.hedge.attempts if report.hedge else 0}


async def _xargs(chunks: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        "xargs", "-P", str(AT_ONCE), "-n", "1", "sleep", stdin=asyncio.subprocess.PIPE
    )
    await process.communicate("\n".join(str(_seconds(n)) for n in range(chunks)).encode())
    assert process.returncode == 0
    return {"hedges": 0}
