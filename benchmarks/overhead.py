"""The cost of one chunk beside its command: many chunks that cost next to nothing, against bare tasks and no tasks.

The chunks' command copies a finished one-frame video: a process about as cheap as `true`, whose output
can be verified, since a chunk without output is never accepted.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from benchmarks.extent import SMALLER, THOUSAND, Extent, Links
from benchmarks.measure import WALL, Column, Figure, Goal, Run, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.servers import Server, server
from flows.render import render_job
from helios.media.verify import verify_output
from helios.models.report import JobReport
from helios.processes.command import run_command
from tasks.run.last_states import count_ended
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

GROUP = 10
OURS, TASKS, GROUPS, LOOP = (
    "this flow",
    "bare Prefect tasks: the same work, kept and recorded",
    f"bare Prefect tasks of {GROUP} chunks each",
    "a bare asyncio loop: the same work",
)
A_CHUNK = "a_chunk_"
"""Prefix of the measures for each chunk."""
VISIBLE, MISSING = "seconds_until_visible", "missing"


def measure(extent: Extent) -> list[Table]:
    """Measure on SQLite, in a file as for `helios-job up`."""
    with server() as running:
        return _tables(extent.links, running, "SQLite", runs=extent.runs)


def measure_on_postgresql(extent: Extent) -> list[Table]:
    """Measure on PostgreSQL, in a cluster of the bench's own that does not wait for the disk."""
    with server(on_postgresql=True) as running:
        return _tables(extent.links_on_postgresql, running, "PostgreSQL", runs=extent.runs)


def _tables(sizes: tuple[Links, ...], running: Server, database: str, *, runs: int) -> list[Table]:
    """Measure one table for each size."""
    tables = []
    for links in sizes:
        table = asyncio.run(_measure(links, running, database, runs=runs))
        is_largest = links.chunks == max(one.chunks for one in sizes if one.at_once == links.at_once)
        goals = _goals(links, table, database, is_largest=is_largest)
        tables.append(table.model_copy(update={"goals": goals}))
    return tables


async def _measure(links: Links, running: Server, database: str, *, runs: int) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contestants = _contestants(links, folder)
        figures = await compare(
            {name: run for name, (_, run) in contestants.items()}, runs=runs, settle=running.settled,
            meters=[ProcessMeter("flow")], settled_meters=running.meters,
        )  # fmt: skip
    processes = ["flow", *(meter.name for meter in running.meters)]
    columns = [
        Column(measure=WALL, heading="s"),
        Column(measure=A_CHUNK + WALL, heading="ms a chunk"),
        *(Column(measure=f"{A_CHUNK}{name}_cpu_seconds", heading=f"CPU, {name}, ms a chunk") for name in processes),
        *(Column(measure=f"{name}_peak_mb", heading=f"{name}, MB", digits=0) for name in ("flow", "server")),
        *(
            Column(measure=f"{A_CHUNK}{name}_written_mb", heading=f"{name} writes, kB a chunk")
            for name in ("flow", "server")
        ),
        Column(measure=VISIBLE, heading="s until all task runs are seen"),
        Column(measure=MISSING, heading="missing", digits=0),
    ]
    return Table(
        title=f"{links.chunks:,} chunks of next to nothing, {links.at_once} at a time, {database}",
        figures=tuple(with_cost(figure, contestants[figure.name][0]) for figure in figures),
        reference=TASKS if TASKS in contestants else SMALLER,
        ratio_of=A_CHUNK + WALL,
        columns=tuple(columns),
    )


def _contestants(links: Links, folder: Path) -> dict[str, tuple[int, Run]]:
    """The contestants by name: how many chunks each renders, and its run."""
    job = write_link_job(folder, links.chunks)
    if links.chunks > THOUSAND:
        smaller = Links(THOUSAND, links.at_once)
        (folder / "smaller").mkdir()
        smaller_job = write_link_job(folder / "smaller", THOUSAND)
        return {
            OURS: (links.chunks, lambda: _run_apart(job, links)),
            SMALLER: (THOUSAND, lambda: _run_apart(smaller_job, smaller)),
        }
    contestants: dict[str, tuple[int, Run]] = {OURS: (links.chunks, lambda: run_links(job, links))}
    if links.with_references:
        contestants |= {
            TASKS: (links.chunks, lambda: _tasks(links, folder, group=1)),
            GROUPS: (links.chunks, lambda: _tasks(links, folder, group=GROUP)),
            LOOP: (links.chunks, lambda: _loop(links, folder)),
        }
    return contestants


def with_cost(figure: Figure, chunks: int) -> Figure:
    """Add the costs of a chunk, in milliseconds and kilobytes."""
    samples = []
    for sample in figure.samples:
        costs = {name: value for name, value in sample.items() if name.endswith(("_seconds", "_written_mb"))}
        samples.append(sample | {A_CHUNK + name: value / chunks * 1000 for name, value in costs.items()})
    return figure.model_copy(update={"samples": tuple(samples)})


def _goals(links: Links, table: Table, database: str, *, is_largest: bool) -> tuple[Goal, ...]:
    """Goals: CPU for every job, the others for the largest job."""
    ours, job = table.figure(OURS), f"{links.chunks:,} chunks, {links.at_once} at a time, {database}"
    cpu = ours.median(f"{A_CHUNK}flow_cpu_seconds")
    goals = [Goal(text=f"{job}: at most 8 ms of CPU a chunk in the flow's process", value=cpu, most=8)]
    if not is_largest:
        return tuple(goals)
    goals += [
        Goal(text=f"{job}: the flow's process within 400 MB", value=ours.median("flow_peak_mb"), most=400),
        Goal(text=f"{job}: the server within 1,500 MB", value=ours.median("server_peak_mb"), most=1500),
        Goal(text=f"{job}: no task run missing", value=ours.median(MISSING), most=0),
    ]
    if links.chunks > THOUSAND:
        smaller = table.figure(SMALLER)
        steps = {"elapsed": WALL, "CPU of the flow": "flow_cpu_seconds", "CPU of the server": "server_cpu_seconds"}
        for name, measure in steps.items():
            grown = statistics.median(ours.ratios(smaller, A_CHUNK + measure))
            text = f"{job}: at most 1.15 times the cost of a chunk of {THOUSAND:,}: {name}"
            goals.append(Goal(text=text, value=grown, most=1.15))
    return tuple(goals)


def write_link_job(folder: Path, chunks: int) -> Path:
    """Write a job whose chunks are copies of one file, and that file."""
    write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
    job = {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {"id": n, "startFrame": n, "frameCount": 1, "outputFile": f"c{n}.mp4", "command": f"cp clip.mp4 c{n}.mp4"}
            for n in range(chunks)
        ],
    }
    return write_job(folder, job)


async def run_links(job: Path, links: Links) -> dict[str, float]:
    """Render such a job; return how long after its end all task runs were visible, and how many never were."""
    report = await render_job(str(job), concurrency=links.at_once)
    assert isinstance(report, JobReport)
    assert report.frames == links.chunks
    return await _visible(report.run_id, links.chunks)


async def _run_apart(job: Path, links: Links) -> dict[str, float]:
    """The same in a fresh process, whose memory is that of one job."""
    words = [sys.executable, "-m", "benchmarks.overhead", str(job), str(links.chunks), str(links.at_once)]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0, words
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


async def _tasks(links: Links, folder: Path, *, group: int) -> dict[str, float]:
    """Run bare tasks, and wait until their states are visible, as the flow does."""
    tasks = links.chunks // group
    return await _visible(await bare_tasks(tasks, links.at_once, str(folder), group), tasks)


async def _visible(run_id: str, tasks: int, *, most: float = 60.0) -> dict[str, float]:
    """Wait until all task runs of a flow run are visible with their last states; return how long that took."""
    started = time.monotonic()
    async with get_client() as client:
        while (found := await count_ended(client, run_id)) < tasks and time.monotonic() - started < most:  # noqa: ASYNC110  the server has no event to wait for
            await asyncio.sleep(0.2)
    return {VISIBLE: time.monotonic() - started, MISSING: tasks - found}


async def _loop(links: Links, folder: Path) -> None:
    await pull(links.chunks, links.at_once, lambda number: _work(number, str(folder), 1))


async def _work(number: int, folder: str, group: int) -> int:
    """Render a group of chunks, one after the other."""
    for chunk in range(number * group, (number + 1) * group):
        path = Path(folder) / f"bare{chunk}.mp4"
        path.unlink(missing_ok=True)
        await run_command(["cp", "clip.mp4", path.name], cwd=folder)
        await asyncio.to_thread(verify_output, path, frames=1, fps=Fraction(30), width=64, height=64)
    return number


_task = task(
    persist_result=True,
    result_serializer="json",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda _, given: f"bare/{flow_run.id}-{given['number']}"),
    refresh_cache=True,
)(_work)
"""A task whose result Prefect keeps, as a resumable job needs it."""


@flow(validate_parameters=False)
async def bare_tasks(count: int, at_once: int, folder: str, group: int) -> str:
    """Await as many tasks in the same way, and nothing else; return the flow run's id."""
    await pull(count, at_once, lambda number: _task(number, folder, group))
    return str(flow_run.id)


async def pull(count: int, at_once: int, work: Callable[[int], Awaitable[object]]) -> None:
    """Call `work` for each number below `count`, at most `at_once` at a time."""

    async def pull_some(numbers: Iterator[int]) -> None:
        for number in numbers:
            await work(number)

    numbers = iter(range(count))
    async with asyncio.TaskGroup() as pullers:
        for _ in range(at_once):
            pullers.create_task(pull_some(numbers))


def main() -> None:
    """Render one job in this process: `python -m benchmarks.overhead JOB CHUNKS AT_ONCE` prints its costs as JSON."""
    job, chunks, at_once = sys.argv[1:]
    links = Links(int(chunks), int(at_once))
    (figure,) = asyncio.run(compare({OURS: lambda: run_links(Path(job), links)}, runs=1, meters=[ProcessMeter("flow")]))
    print(json.dumps(figure.samples[0]))


if __name__ == "__main__":
    main()
