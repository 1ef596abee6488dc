"""One chunk in twenty takes ten times as long: the effect on a job, against `xargs -P` and the ideal."""

import asyncio
import math
import tempfile
from fractions import Fraction
from pathlib import Path

from benchmarks.extent import Extent
from benchmarks.measure import Table, compare
from benchmarks.servers import server
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

SECONDS, SLOWER, EVERY = 0.5, 10, 20
AT_ONCE = 8
XARGS = "xargs -P"


def measure(extent: Extent) -> list[Table]:
    """Measure chunks that sleep: the processors are idle, so that only the order of the chunks counts."""
    chunks = extent.stragglers
    with server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
        job = write_job(folder, _job(chunks))
        figures = asyncio.run(
            compare({"this flow": lambda: _ours(job, chunks), XARGS: lambda: _xargs(chunks)}, runs=extent.runs)
        )
    total = sum(_seconds(n) for n in range(chunks))
    ideal = max(total / AT_ONCE, SECONDS * SLOWER)
    title = (
        f"{chunks} chunks of {SECONDS:g} s, of which one in {EVERY} takes {SECONDS * SLOWER:g} s, {AT_ONCE} at a time"
    )
    return [Table(title=title, figures=figures, reference=XARGS, note=f"No schedule takes less than {ideal:.1f} s.")]


def _seconds(number: int) -> float:
    # Slow chunks are spread over the job, and the last of them is near its end, where it costs most.
    return SECONDS * (SLOWER if number % EVERY == EVERY - math.ceil(EVERY / 4) else 1)


def _job(chunks: int) -> dict[str, object]:
    return {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {
                "id": n,
                "startFrame": n,
                "frameCount": 1,
                "outputFile": f"c{n}.mp4",
                "command": f"sh -c 'sleep {_seconds(n)}; ln -f clip.mp4 \"$0\"' c{n}.mp4",
            }
            for n in range(chunks)
        ],
    }


async def _ours(job: Path, chunks: int) -> None:
    report = await render_job(str(job), concurrency=AT_ONCE)
    assert isinstance(report, JobReport)
    assert report.frames == chunks


async def _xargs(chunks: int) -> None:
    process = await asyncio.create_subprocess_exec(
        "xargs", "-P", str(AT_ONCE), "-n", "1", "sleep", stdin=asyncio.subprocess.PIPE
    )
    await process.communicate("\n".join(str(_seconds(n)) for n in range(chunks)).encode())
    assert process.returncode == 0
