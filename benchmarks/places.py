"""This machine and a stand-in of Lambda render one job: what it costs that one dies, and how exact a budget is.

Chunks sleep, so that only the choice of places counts.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.states import Pending

from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Figure, Goal, Run, Table, compare
from benchmarks.policy_places import Simulation, Workers, World
from benchmarks.servers import server
from farm.budgets import with_budget
from farm.here import Outcome, carry_out
from farm.runs import find_run, resume_run
from flows.render import render_job
from helios.models.report import JobReport, RunState
from testbed.cloud.aws import Aws, aws
from testbed.jobs import write_job
from testbed.video import Clip, write_clip

CHUNKS, SECONDS = 48, 2.0
LOCAL, ELSEWHERE = 2, 4
"""Chunks at a time on this machine, and at Lambda's stand-in."""
DIES_AFTER = 12
"""Outputs that are there when it dies."""
MOST_OFF = 1.15
"""How much longer than its simulation a run may take that loses a place: retries and connections are not simulated."""
BUDGET_CHUNKS, SHARE = 24, 0.5
"""Of the job with a budget, and the share of its cost that the first budget is."""
MOST_COST = 1.05
"""What a job may cost that was paused over its budget and went on, over the same job without one."""
BOTH, DIES, ALONE = "both places", "one dies in the middle", "this machine alone"
FREE, PAUSED = "no budget", f"paused at {SHARE:.0%} of that, then resumed"


def measure(extent: Extent) -> list[Table]:
    """Measure a job of two places of which one dies, and one with a budget that stops it."""
    with server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mp4", Clip(fps=Fraction(30)), start=0, count=1)
        runs = max(2, extent.runs // 2)
        contestants: dict[str, Run] = {
            BOTH: lambda: _two_places(folder, dies=False),
            DIES: lambda: _two_places(folder, dies=True),
            ALONE: lambda: _alone(folder),
        }
        deaths = asyncio.run(compare(contestants, runs=runs))
        budget = SHARE * asyncio.run(_free(folder))["cost"]
        paused = {FREE: lambda: _free(folder), PAUSED: lambda: _paused(folder, budget)}
        budgets = asyncio.run(compare(paused, runs=runs))
    return [_deaths(deaths), _budgets(budgets)]


def _deaths(figures: tuple[Figure, ...]) -> Table:
    _, dying, _ = figures
    off = max(sample[WALL] / sample["simulated"] for sample in dying.samples)
    title = (
        f"{CHUNKS} chunks of {SECONDS:g} s, {LOCAL} at a time on this machine and {ELSEWHERE} at a stand-in of Lambda, "
        f"which dies after {DIES_AFTER} outputs"
    )
    columns = (
        Column(measure=WALL, heading="s of rendering"),
        Column(measure="simulated", heading="s simulated"),
        Column(measure="failed", heading="attempts that failed", digits=0),
        Column(measure="most", heading="most of one chunk", digits=0),
    )
    goal = Goal(text=f"{DIES}: at most {MOST_OFF} times its simulation", value=off, most=MOST_OFF)
    return Table(title=title, figures=figures, reference=ALONE, columns=columns, goals=(goal,))


def _budgets(figures: tuple[Figure, ...]) -> Table:
    free, paused = figures
    wave = LOCAL * free.median("cost") / BUDGET_CHUNKS  # what is in flight when the budget is spent
    over = max(sample["first"] / (sample["budget"] + wave) for sample in paused.samples)
    title = f"{BUDGET_CHUNKS} chunks of {SECONDS:g} s at a stand-in of Lambda, {LOCAL} at a time, and a budget"
    columns = (
        Column(measure="cost", heading="cost, 0.001 USD", scale=1000, digits=3),
        Column(measure="budget", heading="first budget", scale=1000, digits=3),
        Column(measure="first", heading="spent when paused", scale=1000, digits=3),
        Column(measure="executions", heading="executions", digits=0),
        Column(measure=WALL, heading="s"),
    )
    goals = (
        Goal(text="Spent when paused: at most the budget and a wave of chunks", value=over, most=1.0),
        Goal(text=f"In all at most {MOST_COST} times the cost without a budget",
             value=paused.median("cost") / free.median("cost"), most=MOST_COST),
    )  # fmt: skip
    return Table(title=title, figures=figures, reference=FREE, ratio_of="cost", columns=columns, goals=goals)


@contextmanager
def _amazon() -> Iterator[Aws]:
    before = dict(os.environ)
    with aws(concurrency=ELSEWHERE) as cloud:
        os.environ.update(cloud.environment)
        try:
            yield cloud
        finally:
            os.environ.clear()
            os.environ.update(before)


def _job(folder: Path, chunks: int) -> Path:
    return write_job(folder, {
        "metadata": {"totalFrames": chunks, "fps": 30, "width": 64, "height": 64, "duration": chunks / 30},
        "chunks": [
            {"id": n, "startFrame": n, "frameCount": 1, "outputFile": f"c{n}.mp4",
             "command": f"sh -c 'sleep {SECONDS}; ln -f clip.mp4 \"$0\" 2>/dev/null || cp clip.mp4 \"$0\"' c{n}.mp4"}
            for n in range(chunks)
        ],
    })  # fmt: skip


async def _two_places(folder: Path, *, dies: bool) -> dict[str, float]:
    with _amazon() as amazon:
        for left in folder.glob("c*.mp4"):
            if left.name != "clip.mp4":
                left.unlink()
        places = [
            {"adapter": "local", "concurrency": LOCAL},
            {"adapter": amazon.config, "concurrency": ELSEWHERE},
        ]
        work = asyncio.create_task(_render(folder, places))
        while dies and len(list(folder.glob("c[0-9]*.mp4"))) < DIES_AFTER:
            assert not work.done(), work.result()
            await asyncio.sleep(0.02)
        if dies:
            amazon.functions.kill()
        report = await work
    attempts = [one for chunk in report.chunks for one in chunk.timeline]
    gone = min((one.ended or 0.0 for one in attempts if one.outcome is RunState.FAILED), default=None)
    return _rendering(report) | {"simulated": _simulate(report, gone)}


async def _alone(folder: Path) -> dict[str, float]:
    report = await _render(folder, [{"adapter": "local", "concurrency": LOCAL}])
    return _rendering(report) | {"simulated": CHUNKS * SECONDS / LOCAL}


async def _render(folder: Path, places: list[Any]) -> JobReport:
    report = await render_job(str(_job(folder, CHUNKS)), adapter=places, hedge=0.0)
    assert isinstance(report, JobReport)
    assert report.frames == CHUNKS
    return report


def _rendering(report: JobReport) -> dict[str, float]:
    """From the first attempt's begin to the last one's end, and what failed."""
    attempts = [one for chunk in report.chunks for one in chunk.timeline]
    begin = min(one.started or one.began for one in attempts)
    return {
        WALL: max(one.ended or 0.0 for one in attempts) - begin,
        "failed": sum(one.outcome is RunState.FAILED for one in attempts),
        "most": max(sum(one.outcome is RunState.FAILED for one in chunk.timeline) for chunk in report.chunks),
    }


def _simulate(report: JobReport, gone: float | None) -> float:
    """How long the job takes in virtual time, with each place's speed as it was measured."""
    attempts = [one for chunk in report.chunks for one in chunk.timeline if one.outcome is RunState.COMPLETED]
    begin = min(one.started or one.began for one in attempts)
    workers = []
    for place, slots in (("local", LOCAL), ("aws-lambda", ELSEWHERE)):
        own = [one.seconds for one in attempts if one.place == place]
        away = (gone - begin, float("inf")) if gone is not None and place != "local" else (float("inf"), float("inf"))
        workers.append(Workers(place, slots, SECONDS, sum(own) / len(own) - SECONDS, away=away))
    return Simulation(World("", CHUNKS, workers), 0, is_chosen=True, jitter=lambda _: 1.0).run().wall


async def _free(folder: Path) -> dict[str, float]:
    with _amazon() as amazon:
        outcome = await _begin(folder, amazon.config)
    cost = _cost(outcome)
    return {"cost": cost, "executions": _executions(outcome.report)}


async def _paused(folder: Path, budget: float) -> dict[str, float]:
    with _amazon() as amazon:
        paused = await _begin(folder, amazon.config, budget=budget)
        assert paused.state is RunState.PAUSED, paused.message
        assert paused.report is not None
        async with get_client() as client:
            status = await with_budget(client, await find_run(client, paused.report.run_id), 10 * budget)
            await resume_run(client, status)
        ended = await carry_out(status.run, status.run.parameters)
        assert ended.state is RunState.COMPLETED, ended.message
    executions = _executions(paused.report) + _executions(ended.report)
    return {"cost": _cost(ended), "budget": budget, "first": _cost(paused), "executions": executions}


async def _begin(folder: Path, config: Mapping[str, Any], **more: Any) -> Outcome:
    settings = {"job": str(_job(folder, BUDGET_CHUNKS)), "adapter": dict(config), "concurrency": LOCAL, "hedge": 0.0}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=settings | more, state=Pending())
    return await carry_out(run, settings | more)


def _cost(outcome: Outcome) -> float:
    assert outcome.report is not None, outcome.message
    assert outcome.report.cost is not None
    return outcome.report.cost.total


def _executions(report: JobReport | None) -> int:
    return 0 if report is None else sum(len(chunk.timeline) for chunk in report.chunks if not chunk.reused)
