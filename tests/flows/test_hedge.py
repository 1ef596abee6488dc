"""A chunk that takes too long gets a second attempt, and whichever output is verified first is the chunk's."""

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Pending

from farm.here import start_flow
from flows.render import render_job
from helios.models.explained import explain_report
from helios.models.report import ChunkReport, JobReport, RunState
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.flows.test_run_page import artifacts_of
from tests.running import eventually, leftovers, render, report_of, resume, task_runs

pytestmark = pytest.mark.usefixtures("prefect_api")

CHUNKS, FRAMES = 6, 4
SLOW = CHUNKS - 1
"""The chunk that takes long."""
IS_FIRST = "mkdir first 2>/dev/null"


def slow_job(first: str, second: str = "", **fields: Any) -> dict[str, Any]:
    """A job whose last chunk's first execution runs one piece of shell, and later ones another, before they render."""
    job = make_job([FRAMES] * CHUNKS, outputFile="video.mp4", **fields)
    chunk = job["chunks"][SLOW]
    script = f'if {IS_FIRST}; then {first}; else {second or ":"}; fi; exec "$@"'
    chunk["command"] = shlex.join(["sh", "-c", script, "sh", *shlex.split(chunk["command"])])
    return job


def hang(folder: Path) -> str:
    """A piece of shell that takes ten minutes; its process names the folder."""
    return f'exec sh -c "sleep 600; :" {folder}'


async def hedged(folder: Path, job: dict[str, Any], **words: Any) -> tuple[JobReport, ChunkReport]:
    """Run it, three chunks at a time; the report, and the slow chunk's."""
    state, report = await render(folder, job, **{"concurrency": 3, "hedge": 0.05} | words)
    assert state.is_completed(), state.message
    assert list(read_numbers(folder / "video.mp4")) == list(range(CHUNKS * FRAMES))
    assert leftovers(folder) == []
    return report, report.chunks[SLOW]


def outcomes(chunk: ChunkReport) -> list[tuple[bool, RunState]]:
    """Of each attempt, whether it was a second one, and how it ended."""
    return [(one.hedge, one.outcome) for one in chunk.timeline]


async def test_the_second_attempt_wins(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Its output is accepted, the first attempt's processes end, and page, report and `explain` say so."""
    report, chunk = await hedged(tmp_path, slow_job(hang(tmp_path), id=f"wins {tmp_path}"))
    assert chunk.command_failures == 0
    assert (outcomes(chunk)[0], outcomes(chunk)[-1]) == ((False, RunState.CANCELLED), (True, RunState.COMPLETED))
    assert report.hedge is not None
    assert report.hedge.share == 0.05
    assert report.hedge.attempts >= report.hedge.won >= 1  # on a busy machine another chunk may be slow too
    assert report.hedge.lost_seconds >= chunk.timeline[0].seconds - 0.01
    assert processes_of(tmp_path) == []
    runs = await task_runs(report, count=CHUNKS + 1)
    assert (runs[f"hedge-{SLOW}"].state_name, runs[f"chunk-{SLOW}"].state_name) == ("Completed", "Completed")
    page = await artifacts_of(report.run_id)
    rows = json.loads(page["render-chunks"]["data"])
    assert rows[SLOW]["state"] == "completed, second attempt won"
    said = f"{report.hedge.attempts} second attempts of slow chunks, of which {report.hedge.won} won"
    assert said in page["render-timeline"]["data"]
    assert any(
        line.startswith(f"Chunk {SLOW} was hedged at ") and " won in " in line for line in explain_report(report)
    )


async def test_the_loser_s_death(tmp_path: Path) -> None:
    """A second attempt that dies is no failure of its chunk, whose own attempt goes on and is accepted."""
    job = slow_job("while ! test -e died; do sleep 0.1; done; sleep 1", "touch died; kill -9 $$")
    _, chunk = await hedged(tmp_path, job)
    assert outcomes(chunk)[0] == (False, RunState.COMPLETED)
    assert outcomes(chunk)[1] == (True, RunState.FAILED)
    assert (chunk.command_failures, chunk.environment_failures) == (0, 0)


async def test_the_first_attempt_s_death(tmp_path: Path) -> None:
    """A chunk whose own attempt dies is not failed while a second one runs; that may take its time, and is accepted."""
    job = slow_job("while ! test -e second; do sleep 0.1; done; touch died; kill -9 $$",
                   "touch second; while ! test -e died; do sleep 0.1; done; sleep 3")  # fmt: skip
    _, chunk = await hedged(tmp_path, job)
    assert outcomes(chunk) == [(False, RunState.FAILED), (True, RunState.COMPLETED)]
    assert chunk.command_failures == 0


async def test_both_finish_at_the_same_moment(tmp_path: Path) -> None:
    """One output is accepted, and the other one leaves no file."""
    meet = "while ! { test -e first/a && test -e first/b; }; do sleep 0.01; done"
    _, chunk = await hedged(tmp_path, slow_job(f"touch first/a; {meet}", f"touch first/b; {meet}"))
    assert sorted(outcome for _, outcome in outcomes(chunk)) == [RunState.CANCELLED, RunState.COMPLETED]


async def test_hedge_and_resume(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancel ends both attempts and leaves none of their files; the resumed run renders the chunk alone."""
    job = slow_job(hang(tmp_path), f"if mkdir second; then {hang(tmp_path)}; fi", id=f"resume {tmp_path}")  # fmt: skip
    settings = {"job": str(write_job(tmp_path, job)), "concurrency": 3, "retries": 0, "hedge": 0.05}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=settings, state=Pending())
        work = asyncio.create_task(start_flow(run, settings))

        async def both() -> bool:
            assert not work.done(), work.result()
            return len(processes_of(tmp_path)) >= 2 and (tmp_path / "second").exists()

        await eventually(both)
        await client.set_flow_run_state(run.id, Cancelling(), force=True)
        state = await work
    assert state.is_cancelled()
    assert (processes_of(tmp_path), leftovers(tmp_path)) == ([], [])
    report = await report_of(state)
    assert outcomes(report.chunks[SLOW]) == [(False, RunState.CANCELLED), (True, RunState.CANCELLED)]
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert [chunk.attempts for chunk in report.chunks] == [0] * SLOW + [1]
    assert list(read_numbers(tmp_path / "video.mp4")) == list(range(CHUNKS * FRAMES))


async def test_a_job_s_earlier_times_give_the_order(tmp_path: Path) -> None:
    """A run that renders a job anew starts with the chunk that took longest before."""
    job = make_job([FRAMES] * 3, id=f"order {tmp_path}")
    for number, chunk in enumerate(job["chunks"]):
        script = f'echo {number} >>order; sleep {3 if number == 2 else 0}; exec "$@"'
        chunk["command"] = shlex.join(["sh", "-c", script, "sh", *shlex.split(chunk["command"])])
    for _ in range(2):
        state, _ = await render(tmp_path, job, concurrency=1, fresh=True)
        assert state.is_completed(), state.message
    started = (tmp_path / "order").read_text().split()
    assert (started[:3], started[3]) == (["0", "1", "2"], "2")
