"""Real encodes: our flow against `xargs -P` over the same commands and a plain concatenation."""

import asyncio
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import compare, table
from flows.render import render_job
from helios.models import JobSpec
from helios.models.report import JobReport
from helios.planning import plan_job
from tests.jobs import write_job

CHUNKS, FRAMES = 16, 30
AT_A_TIME = 2


async def measure(*, runs: int = 5) -> str:
    """16 chunks of 30 frames of 720p H.264, two at a time, from the flow's start to its report."""
    command = f"{shlex.quote(sys.executable)} -m examples.orrery frames {{start}} {{count}} {{output}}"
    spec = plan_job(
        [FRAMES] * CHUNKS, fps="30", width=1280, height=720, command=command, output_pattern="c{index:02d}.mp4"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = write_job(folder, spec.to_document())
        figures = await compare(
            {"this flow": lambda: _ours(job), "xargs -P and a concatenation": lambda: _xargs(folder, spec)}, runs=runs
        )
    title = f"{CHUNKS} chunks of {FRAMES} frames of 720p H.264, {AT_A_TIME} at a time, server running"
    return table(title, figures)


async def _ours(job: Path) -> None:
    report = await render_job(str(job), concurrency=AT_A_TIME, output_file="video.mp4")
    assert isinstance(report, JobReport)
    assert report.frames == CHUNKS * FRAMES


async def _xargs(folder: Path, spec: JobSpec) -> None:
    commands = "\0".join(chunk.command for chunk in spec.chunks)
    await _run(folder, "xargs", "-0", "-P", str(AT_A_TIME), "-I", "{}", "sh", "-c", "{} >/dev/null", data=commands)
    if shutil.which("ffmpeg") is None:
        await _run(folder, "sh", "-c", "cat c??.mp4 > plain.mp4")
        return
    (folder / "list.txt").write_text("".join(f"file {chunk.output_file}\n" for chunk in spec.chunks))
    words = "-v error -y -f concat -i list.txt -c copy plain.mp4"
    await _run(folder, "ffmpeg", *words.split())


async def _run(folder: Path, *argv: str, data: str = "") -> None:
    process = await asyncio.create_subprocess_exec(*argv, cwd=folder, stdin=asyncio.subprocess.PIPE)
    await process.communicate(data.encode())
    assert process.returncode == 0, argv
