"""What one chunk costs beside its command: many chunks of next to nothing, and tasks that are nothing but tasks.

The chunks' command makes a hard link to a finished one-frame video: a process as cheap as `true`, whose output
can be verified, since a chunk without output is never accepted.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from benchmarks.measure import compare, peak_mb, table
from flows.render import render_job
from helios.media.verify import verify_output
from helios.models.report import JobReport
from helios.process import run_command
from tasks.last_states import count_ended
from tests.jobs import write_job
from tests.video import Clip, write_clip

IN_FLIGHT = 10


async def measure(*, chunks: int = 1000, runs: int = 5) -> str:
    """Compare our flow with bare Prefect tasks that are awaited the same way."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
        job = write_job(folder, link_job(chunks))
        figures = await compare(
            {
                "this flow": lambda: _ours(job, chunks),
                "bare tasks that do nothing": lambda: _bare(_nothing, chunks),
                "bare tasks that run `true`": lambda: _bare(_true, chunks),
                "bare tasks that run and verify the same": lambda: _bare(_same_work, chunks, folder),
                "… and keep their results": lambda: _bare(_same_work_kept, chunks, folder),
                "… until the server has recorded them": lambda: _recorded_tasks(chunks, str(folder)),
            },
            runs=runs,
            settle=recorded,
        )
    lines = [table(f"{chunks} chunks of next to nothing, {IN_FLIGHT} at a time", figures)]
    lines += ["| | CPU of the flow process, ms a chunk |", "|---|---|"]
    lines += [f"| {figure.name} | {figure.median('cpu_seconds') / chunks * 1000:.2f} |" for figure in figures]
    lines.append(f"\nPeak memory of this process: {peak_mb():.0f} MB\n")
    return "\n".join(lines)


def link_job(chunks: int) -> dict[str, object]:
    """A job whose chunks are links to one file."""
    return {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {"id": n, "startFrame": n, "frameCount": 1, "outputFile": f"c{n}.mp4", "command": f"ln clip.mp4 c{n}.mp4"}
            for n in range(chunks)
        ],
    }


async def _ours(job: Path, chunks: int) -> None:
    report = await render_job(str(job), concurrency=IN_FLIGHT)
    assert isinstance(report, JobReport)
    assert report.frames == chunks


@task(persist_result=False, cache_policy=NO_CACHE)
async def _nothing(number: int, _folder: str) -> int:
    return number


@task(persist_result=False, cache_policy=NO_CACHE)
async def _true(number: int, _folder: str) -> int:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    return number


@task(persist_result=False, cache_policy=NO_CACHE)
async def _same_work(number: int, folder: str) -> int:
    path = Path(folder) / f"bare{number}.mp4"
    path.unlink(missing_ok=True)
    await run_command(["ln", "clip.mp4", path.name], cwd=folder)
    await asyncio.to_thread(verify_output, path, frames=1, fps=Fraction(30), width=64, height=64)
    return number


_same_work_kept = _same_work.with_options(
    persist_result=True,
    result_serializer="json",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda _, given: f"bare/{flow_run.id}-{given['number']}"),
    refresh_cache=True,
)
"""A task whose result Prefect keeps, which is what makes a job resumable."""


async def _bare(work: Any, count: int, folder: Path | None = None) -> None:
    await bare_tasks(work, count, str(folder or ""))


async def _recorded_tasks(count: int, folder: str) -> None:
    """As the flow does, which returns when its states can be seen."""
    run_id = await bare_tasks(_same_work_kept, count, folder)
    async with get_client() as client:
        while await count_ended(client, run_id) < count:  # noqa: ASYNC110  the server has no event to wait for
            await asyncio.sleep(0.2)


@flow(validate_parameters=False)
async def bare_tasks(work: Any, count: int, folder: str = "") -> str:
    """Await as many tasks in the same way, and nothing else; return the flow run's id."""

    async def pull(numbers: Iterator[int]) -> None:
        for number in numbers:
            await work(number, folder)

    numbers = iter(range(count))
    async with asyncio.TaskGroup() as pullers:
        for _ in range(IN_FLIGHT):
            pullers.create_task(pull(numbers))
    return str(flow_run.id)


async def recorded() -> None:
    """Wait until the server has worked off what the last run sent it: no new task run for two seconds."""
    count, since = -1, time.monotonic()
    async with get_client() as client:
        while time.monotonic() - since < 2:
            now = int((await client.request("POST", "/task_runs/count", json={})).json())
            if now != count:
                count, since = now, time.monotonic()
            await asyncio.sleep(0.5)
