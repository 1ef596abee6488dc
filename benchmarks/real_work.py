"""Real encodes: our flow against `xargs -P` over the same commands and a plain concatenation, and one process."""

import asyncio
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

from prefect import flow, task

from benchmarks.extent import Encodes, Extent
from benchmarks.measure import WALL, Column, Figure, Goal, Run, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.overhead import pull
from benchmarks.servers import Server, server
from flows.render import render_job
from helios.job.planning import plan_job
from helios.models import JobSpec
from helios.models.report import JobReport
from helios.models.verification import DEFAULT_LEVEL, VerifyLevel
from testbed.jobs import write_job

RENDER = f"{shlex.quote(sys.executable)} -m examples.orrery frames {{start}} {{count}} {{output}}"
GOALS, GOAL_SECONDS = {VerifyLevel.CONTAINER: 1.03, VerifyLevel.DECODE: 1.06}, 1.8
"""The goals' ratios, and the least seconds of a chunk for which they hold: a chunk of about two seconds."""
WARM_UP = Encodes(chunks=4, frames=1, at_once=2)
"""Rendered before all others, since a farm that is up has rendered before. The suite `start` measures a first job."""
VIDEO = "seconds_until_video"
COLUMNS = (
    Column(measure=VIDEO, heading="s until the video is there"),
    Column(measure=WALL, heading="s until that is recorded"),
)
TREE = "all"
TREE_SECONDS = f"{TREE}_cpu_seconds"
WITH_CPU = (*COLUMNS, Column(measure=TREE_SECONDS, heading="CPU s of all processes"))
"""Other work on the machine disturbs this measure little: the time that flow, server and commands take together."""
XARGS = "xargs -P, then a concatenation"
TASKS = "bare Prefect tasks, then the same concatenation"


def plan_orrery(chunks: int, frames: int) -> JobSpec:
    """A job of real encodes: chunks of so many frames of the example in 720p H.264."""
    return plan_job(
        [frames] * chunks, fps="30", width=1280, height=720, command=RENDER, output_pattern="c{index:04d}.mp4"
    )


def measure(extent: Extent) -> list[Table]:
    """Measure encodes of 720p H.264, from the flow's start to its report."""
    with server() as running:
        asyncio.run(_measure(WARM_UP, running, runs=1))
        return [asyncio.run(_measure(encodes, running, runs=extent.runs)) for encodes in extent.encodes]


async def _measure(encodes: Encodes, running: Server, *, runs: int) -> Table:
    spec = plan_orrery(encodes.chunks, encodes.frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = write_job(folder, spec.to_document())
        levels = list(VerifyLevel) if encodes.with_levels else [DEFAULT_LEVEL]
        contestants: dict[str, Run] = {
            _name(level): partial(_render, folder / "video.mp4", job, encodes, level) for level in levels
        }
        contestants[XARGS] = lambda: until_there(folder / "plain.mp4", _xargs(folder, spec, encodes))
        if encodes.with_whole:
            contestants["one process, not cut"] = lambda: until_there(folder / "whole.mp4", _whole(folder, encodes))
        if encodes.with_bare_tasks:
            contestants[TASKS] = lambda: until_there(folder / "plain.mp4", _bare_tasks(folder, spec, encodes))
        # The server is a child of this process, and records a run's end when the run is over.
        figures = await compare(
            contestants, runs=runs, settle=running.settled,
            settled_meters=[ProcessMeter(TREE, os.getpid(), with_children=True)],
        )  # fmt: skip
    xargs = next(figure for figure in figures if figure.name == XARGS)
    seconds = xargs.median() * min(encodes.at_once, encodes.chunks) / encodes.chunks
    frames = "1 frame" if encodes.frames == 1 else f"{encodes.frames} frames"
    title = f"{encodes.chunks} chunks of {frames} of 720p H.264, {encodes.at_once} at a time"
    more = ", ".join(f"{figure.name} {_cpu_ratio(figure, xargs):.3f}" for figure in figures if figure is not xargs)
    note = (
        f"A chunk's command takes {seconds:.1f} s. CPU time of all processes, in proportion to that of xargs: {more}."
    )
    table = Table(title=title, figures=figures, reference=XARGS, ratio_of=VIDEO, columns=WITH_CPU, note=note)
    if seconds < GOAL_SECONDS:
        return table
    goals = tuple(
        Goal(text=f"{title}, {_name(level)}: at most {GOALS[level]} times xargs", value=table.ratio(figure) or 0,
             most=GOALS[level])
        for level, figure in zip(levels, figures, strict=False) if level in GOALS
    )  # fmt: skip
    return table.model_copy(update={"goals": goals})


def _cpu_ratio(figure: Figure, reference: Figure) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(figure.ratios(reference, TREE_SECONDS))


def _name(level: VerifyLevel) -> str:
    return "this flow" if level is DEFAULT_LEVEL else f"this flow, --verify {level}"


async def until_there(video: Path, work: Awaitable[None]) -> dict[str, float]:
    """Await work; return after how long its video was there: the inode changes last when the file gets its name."""
    started = time.time()
    await work
    return {VIDEO: video.stat().st_ctime - started}


async def _render(video: Path, job: Path, encodes: Encodes, level: VerifyLevel) -> dict[str, float]:
    return await until_there(video, _ours(job, encodes, level))


async def _ours(job: Path, encodes: Encodes, level: VerifyLevel) -> None:
    report = await render_job(str(job), concurrency=encodes.at_once, output_file="video.mp4", verify=level)
    assert isinstance(report, JobReport)
    assert report.frames == encodes.chunks * encodes.frames


async def _xargs(folder: Path, spec: JobSpec, encodes: Encodes) -> None:
    commands = "\0".join(chunk.command for chunk in spec.chunks)
    words = ["xargs", "-0", "-P", str(encodes.at_once), "-I", "{}", "sh", "-c", "{} >/dev/null"]
    await run(folder, *words, data=commands)
    await concatenate(folder, spec)


async def _bare_tasks(folder: Path, spec: JobSpec, encodes: Encodes) -> None:
    await _commands(str(folder), [chunk.command for chunk in spec.chunks], encodes.at_once)
    await concatenate(folder, spec)


@flow(validate_parameters=False)
async def _commands(folder: str, commands: list[str], at_once: int) -> None:
    await pull(len(commands), at_once, lambda number: _command(folder, commands[number]))


@task
async def _command(folder: str, command: str) -> None:
    await run(Path(folder), "sh", "-c", f"{command} >/dev/null")


async def concatenate(folder: Path, spec: JobSpec) -> None:
    if shutil.which("ffmpeg") is None:
        await run(folder, "sh", "-c", "cat c????.mp4 > plain.mp4")
        return
    (folder / "list.txt").write_text("".join(f"file {chunk.output_file}\n" for chunk in spec.chunks))
    await run(folder, *["ffmpeg", "-v", "error", "-y", "-f", "concat", "-i", "list.txt", "-c", "copy", "plain.mp4"])


async def _whole(folder: Path, encodes: Encodes) -> None:
    words = RENDER.format(start=0, count=encodes.chunks * encodes.frames, output="whole.mp4")
    await run(folder, "sh", "-c", f"{words} >/dev/null")


async def run(folder: Path, *argv: str, data: str = "") -> None:
    process = await asyncio.create_subprocess_exec(*argv, cwd=folder, stdin=asyncio.subprocess.PIPE)
    await process.communicate(data.encode())
    assert process.returncode == 0, argv
