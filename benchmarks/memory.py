"""Whether the memory of the flow's process grows with what its chunks print and write."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.extent import Extent
from benchmarks.measure import Column, Figure, Table
from benchmarks.meters import peak_mb
from benchmarks.servers import server
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import make_job, write_job

CHUNKS, PEAK = 4, "peak_mb"


def measure(_extent: Extent) -> list[Table]:
    """Measure peak memory after chunks that print nothing, and after chunks that print hundreds of megabytes each."""
    figures = []
    with server():
        for megabytes in (0, 10, 200):
            peak = _peak(megabytes)
            figures.append(Figure(name=f"{megabytes} MB", samples=({PEAK: peak},)))
    columns = (Column(measure=PEAK, heading="peak MB", digits=0),)
    title = "Memory of the flow's process, by what each chunk prints"
    return [Table(title=title, figures=tuple(figures), ratio_of=PEAK, columns=columns)]


def _peak(megabytes: int) -> float:
    """Run a flow in a fresh process, since a process's peak never goes down."""
    argv = [sys.executable, "-m", "benchmarks.memory", str(megabytes)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return float(done.stdout)


async def _run(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        extra = ["--misbehave", f"flood:{megabytes}"] if megabytes else []
        job = write_job(Path(name), make_job([5] * CHUNKS, extra=extra))
        report = await render_job(str(job), concurrency=2)
        assert isinstance(report, JobReport)
    print(peak_mb())


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1])))
