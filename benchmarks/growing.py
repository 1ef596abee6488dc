"""Frames that get twenty times dearer towards the job's end: chunks cut by measured time, against fixed lengths.

Chunks sleep, so that only the cutting counts; starting one takes as long as some of the cheap frames.
"""

import asyncio
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Goal, Run, Table, compare
from benchmarks.servers import server
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

FRAMES, AT_ONCE = 240, 4
START, CHEAP, DEAR = 0.2, 0.02, 0.4
"""Seconds: to start a chunk, and of the first and the last frame."""
LENGTHS = (5, 10, 20, 40)
"""Frames of a chunk, where all have as many."""
TARGET = 5
"""Seconds of a chunk that is cut by time."""
MOST = 1.1
CUT = f"this flow, targetSeconds {TARGET}"


def measure(extent: Extent) -> list[Table]:
    """Measure the job cut by time, and in each of the fixed lengths."""
    with server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        for count in range(1, FRAMES + 1):
            write_clip(folder / "clips" / f"{count}.mp4", Clip(fps=Fraction(30)), start=0, count=count)
        contestants: dict[str, Run] = {CUT: lambda: _render(folder, {"targetSeconds": TARGET})}
        for length in LENGTHS:
            contestants[f"this flow, chunks of {length} frames"] = _fixed(folder, length)
        figures = asyncio.run(compare(contestants, runs=extent.runs))
    best = min(figures[1:], key=lambda figure: figure.median())
    work = sum(_seconds(frame) for frame in range(FRAMES)) / AT_ONCE
    title = f"{FRAMES} frames of {CHEAP:g} to {DEAR:g} s, a start of {START:g} s, {AT_ONCE} at a time"
    columns = (Column(measure=WALL, heading="s"), Column(measure="chunks", heading="chunks", digits=0))
    goal = Goal(
        text=f"{title}: cut by time at most {MOST} times the best of the fixed lengths",
        value=max(1.0, figures[0].median() / best.median()),
        most=MOST,
    )
    note = f"The frames alone take {work:.1f} s of {AT_ONCE} slots."
    return [Table(title=title, figures=figures, reference=best.name, columns=columns, note=note, goals=(goal,))]


def _fixed(folder: Path, length: int) -> Run:
    return lambda: _render(folder, {"chunkFrames": length})


def _seconds(frame: int) -> float:
    """How long a frame takes."""
    return CHEAP + (DEAR - CHEAP) * frame / FRAMES


async def _render(folder: Path, lengths: dict[str, int]) -> dict[str, float]:
    # The seconds of frames a to a + n - 1, by the sum of their numbers.
    seconds = f"{START} + n * {CHEAP} + ({DEAR} - {CHEAP}) / {FRAMES} * n * (2 * a + n - 1) / 2"
    script = f'sleep $(awk -v a=$0 -v n=$1 "BEGIN {{{{ print {seconds} }}}}"); ln -f clips/$1.mp4 $2'
    template = {
        "command": f"sh -c '{script}' {{start}} {{count}} c{{index}}.mp4",
        "outputFile": "c{index}.mp4",
        **lengths,
    }
    metadata = {"totalFrames": FRAMES, "fps": 30, "width": 64, "height": 64, "duration": FRAMES / 30}
    job: dict[str, Any] = {"metadata": metadata, "template": template}
    report = await render_job(str(write_job(folder, job)), concurrency=AT_ONCE)
    assert isinstance(report, JobReport)
    assert report.frames == FRAMES
    return {"chunks": len(report.chunks)}
