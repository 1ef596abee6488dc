"""One input of sixty changed: the second render with a cache, against that chunk's command and the stitch alone."""

import asyncio
import itertools
import os
import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.extent import Extent, Reuse
from benchmarks.measure import Goal, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.real_work import GOAL_SECONDS, TREE, VIDEO, WITH_CPU, plan_orrery
from benchmarks.servers import Server, server
from flows.render import render_job
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models import JobSpec
from helios.models.report import JobReport
from testbed.jobs import write_job

GOAL = 1.3
"""The goal's ratio, for chunks of `GOAL_SECONDS` and more."""
ALONE = "the changed chunk's command, then the stitch"
CHUNK, STITCH = "chunk_seconds", "stitch_seconds"


def measure(extent: Extent) -> list[Table]:
    """Measure the second render, by another job in another folder, from the flow's start until its video is there."""
    with server() as running, tempfile.TemporaryDirectory() as name:
        return [asyncio.run(_measure(Path(name), extent.reuse, running, runs=extent.runs))]


async def _measure(place: Path, reuse: Reuse, running: Server, *, runs: int) -> Table:
    spec = plan_orrery(reuse.chunks, reuse.frames)
    numbers = itertools.count()
    await _render(place, spec, next(numbers), changed=None)
    figures = await compare(
        {
            "this flow": lambda: _render(place, spec, next(numbers), changed=reuse.chunks // 2),
            ALONE: lambda: _alone(place / "job-0", spec, changed=reuse.chunks // 2),
        },
        runs=runs,
        settle=running.settled,
        settled_meters=[ProcessMeter(TREE, os.getpid(), with_children=True)],
    )
    flow, alone = figures
    # The stitch is the same on both sides: the chunk alone is compared.
    ratios = [
        (own[VIDEO] - other[STITCH]) / other[CHUNK] for own, other in zip(flow.samples, alone.samples, strict=True)
    ]
    seconds = alone.median(CHUNK)
    title = f"{reuse.chunks} chunks of {reuse.frames} frames of 720p H.264, one of which has a new input"
    note = f"Its command takes {seconds:.2f} s, the stitch {alone.median(STITCH):.2f} s."
    table = Table(title=title, figures=figures, reference=ALONE, ratio_of=VIDEO, columns=WITH_CPU, note=note)
    if seconds < GOAL_SECONDS:
        return table
    goal = Goal(
        text=f"{title}: at most {GOAL} times that chunk, and the stitch",
        value=sorted(ratios)[len(ratios) // 2],
        most=GOAL,
    )
    return table.model_copy(update={"goals": (goal,)})


async def _render(place: Path, spec: JobSpec, number: int, *, changed: int | None) -> dict[str, float]:
    """Render a job of its own in a folder of its own; each chunk reads a file of its own."""
    folder = place / f"job-{number}"
    folder.mkdir()
    document: dict[str, Any] = spec.to_document() | {"id": f"job {number} in {place}"}
    for index, chunk in enumerate(document["chunks"]):
        chunk["inputs"] = [f"shot-{index}.txt"]
        (folder / f"shot-{index}.txt").write_text(f"shot {index}, take {number if index == changed else 0}")
    job = write_job(folder, document)
    began = time.time()
    report = await render_job(str(job), concurrency=2, output_file="video.mp4", cache=str(place / "cache"))
    assert isinstance(report, JobReport)
    rendered = [chunk.id for chunk in report.chunks if not chunk.reused]
    assert rendered == ([chunk.id for chunk in spec.chunks] if changed is None else [changed]), rendered
    # The inode changes last when the file gets its name.
    return {VIDEO: (folder / "video.mp4").stat().st_ctime - began}


async def _alone(folder: Path, spec: JobSpec, *, changed: int) -> dict[str, float]:
    """Run the command of one chunk, and stitch all of them, without Prefect."""
    chunk = spec.chunks[changed]
    words = shlex.split(chunk.command.replace(chunk.output_file, "alone.mp4"))
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    rendered = time.perf_counter()
    inputs = [StitchInput(folder / one.output_file, one.frame_count, f"chunk {one.id}") for one in spec.chunks]
    await asyncio.to_thread(
        FfmpegStitcher().stitch, inputs, folder / "alone-joined.mp4", fps=spec.metadata.fps,
        temporary=folder / "alone-part.mp4",
    )  # fmt: skip
    joined = time.perf_counter()
    return {VIDEO: joined - began, CHUNK: rendered - began, STITCH: joined - rendered}
