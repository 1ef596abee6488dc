"""A job that several kinds of workers render: the same exact video, whatever becomes of one of them."""

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import State
from prefect.states import Cancelling, Pending

from farm.here import start_flow
from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.schedule import budget
from tasks.schedule.bench import IN_A_ROW
from testbed.cloud.aws import Aws
from testbed.cloud.own_farm import own_farm
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.flows.test_run_page import artifacts_of
from tests.running import eventually, leftovers, render, report_of

pytestmark = pytest.mark.usefixtures("prefect_api")

CHUNKS, FRAMES = 8, 3


def here(name: str, **settings: Any) -> dict[str, Any]:
    """A place on this machine, whose commands find its name in the variable PLACE."""
    return {"adapter": {"type": "local", "env": {"PLACE": name}}, "name": name, "concurrency": 1, **settings}


def job_of(script: str = "", chunks: int = CHUNKS, **fields: Any) -> dict[str, Any]:
    """A job whose commands run a piece of shell first."""
    job = make_job([FRAMES] * chunks, outputFile="video.mp4", **fields)
    for chunk in job["chunks"]:
        words = ["sh", "-c", f'{script or ":"}; exec "$@"', "sh", *shlex.split(chunk["command"])]
        chunk["command"] = shlex.join(words)
    return job


async def rendered(folder: Path, job: dict[str, Any], places: list[Any], **words: Any) -> JobReport:
    """Render it to its end, and look at every frame."""
    state, report = await render(folder, job, **{"adapter": places, "concurrency": None} | words)
    assert state.is_completed(), state.message
    assert list(read_numbers(folder / "video.mp4")) == list(range(len(job["chunks"]) * FRAMES))
    assert leftovers(folder) == []
    return report


def accepted_at(report: JobReport) -> list[str | None]:
    """Where each chunk's accepted attempt ran."""
    return [one.place for chunk in report.chunks for one in chunk.timeline if one.outcome is RunState.COMPLETED]


async def test_two_places(tmp_path: Path) -> None:
    """Each renders chunks, no more than its bound at a time, and the report and the page say which."""
    script = 'mkdir -p at; mkdir "at/$PLACE" || exit 9; sleep 0.3; rmdir "at/$PLACE"'
    report = await rendered(tmp_path, job_of(script), [here("a"), here("b", cost_per_hour=2.5)])
    assert set(accepted_at(report)) == {"a", "b"}
    assert [(place.name, place.adapter, place.concurrency) for place in report.places] == [
        ("a", "local", 1), ("b", "local", 1)
    ]  # fmt: skip
    assert [place.cost_per_hour for place in report.places] == [0.0, 2.5]
    assert sum(place.accepted for place in report.places) == CHUNKS
    rows = json.loads((await artifacts_of(report.run_id))["render-chunks"]["data"])
    assert {row["adapter"] for row in rows} == {"a", "b"}


async def test_a_budget_that_is_nearly_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt costs what its place costs, and from some share of the budget on only the cheapest gets chunks."""
    monkeypatch.setattr(budget, "SPARING", 0.3)
    job, dear = job_of("sleep 0.4", chunks=24), here("dear", cost_per_hour=72)  # 0.02 a second
    report = await rendered(tmp_path, job, [dear, here("free")], budget=0.2)
    attempts = sorted((one for chunk in report.chunks for one in chunk.timeline), key=lambda one: one.started or 0.0)
    assert {one.place for one in attempts} == {"dear", "free"}
    assert {one.place for one in attempts[-6:]} == {"free"}
    assert all((one.cost == 0) is (one.place == "free") for one in attempts)
    assert report.cost is not None
    assert 0.06 <= report.cost.total < 0.2
    assert report.cost.total == pytest.approx(
        0.02 * sum(one.seconds for one in attempts if one.place == "dear"), rel=0.3
    )


async def test_a_job_of_one_place_says_nothing_of_places(tmp_path: Path) -> None:
    """A list of one adapter is that adapter."""
    report = await rendered(tmp_path, job_of(chunks=2), ["local"])
    assert report.places == ()
    assert accepted_at(report) == [None, None]


@pytest.mark.slow
async def test_a_command_that_fails_at_one_place(tmp_path: Path) -> None:
    """Its chunks are accepted from the other place, with one retry; the place gets strikes, and is benched."""
    report = await rendered(
        tmp_path,
        job_of('test "$PLACE" = good || exit 7'),
        [here("bad"), here("good")],
        retries=1,
        retry_delay_seconds=0,
    )
    assert set(accepted_at(report)) == {"good"}
    bad = report.places[0]
    assert bad.strikes >= IN_A_ROW
    assert bad.benched == 1
    assert all(chunk.command_failures <= 1 for chunk in report.chunks)


async def test_a_program_that_one_place_lacks(tmp_path: Path) -> None:
    """What can't be run at one place is tried at the other one; the job is not refused over it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "my-shell").symlink_to("/bin/sh")
    job = job_of(chunks=3)
    for chunk in job["chunks"]:
        chunk["command"] = chunk["command"].replace("sh -c", "my-shell -c", 1)
    place = here("has it")
    place["adapter"]["env"]["PATH"] = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    report = await rendered(tmp_path, job, [here("lacks it"), place])
    assert set(accepted_at(report)) == {"has it"}


async def test_a_command_that_fails_everywhere(tmp_path: Path) -> None:
    """It is the command's fault: the job fails when the chunk's retries are over, with attempts at both places."""
    state, report = await render(
        tmp_path, job_of("exit 3", chunks=1), adapter=[here("a"), here("b")], retries=1, retry_delay_seconds=0
    )
    assert state.is_failed()
    assert [one.place for one in report.chunks[0].timeline] == ["a", "b"]
    assert [place.strikes for place in report.places] == [0, 0]


async def test_a_place_whose_limit_is_taken(tmp_path: Path) -> None:
    """Limits over all jobs are the places' own: what waits for a slot of one is rendered at the other."""
    name = f"taken-{tmp_path.name}"
    async with get_client() as client:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        await client.increment_concurrency_slots([name], 1, "concurrency")
    taken = {"adapter": {"type": "local", "concurrency_limit": name}, "name": "taken"}
    report = await rendered(tmp_path, job_of(chunks=2), [taken, {"adapter": "local", "name": "free"}])
    assert set(accepted_at(report)) == {"free"}


@pytest.mark.slow
async def test_a_second_attempt_runs_elsewhere(tmp_path: Path) -> None:
    """A chunk that hangs at one place is rendered at the other one, which has nothing else to do."""
    script = f'case "$*" in *" {(CHUNKS - 1) * FRAMES} "*) if mkdir first; then exec sleep 600; fi;; esac'
    report = await rendered(tmp_path, job_of(script), [here("a"), here("b")], hedge=0.05)
    own, second = report.chunks[-1].timeline
    assert (own.hedge, own.outcome) == (False, RunState.CANCELLED)
    assert (second.hedge, second.outcome) == (True, RunState.COMPLETED)
    assert {own.place, second.place} == {"a", "b"}


@pytest.mark.slow
async def test_the_farm_is_gone_in_the_middle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Chunks that its nodes had are rendered here; the log says that it gets no chunks any more."""
    with own_farm(tmp_path, nodes=2) as farm:
        config = {**farm.config, "scheduler_wait_seconds": 0.5, "node_wait_seconds": 0.5}
        places = [here("local"), {"adapter": config, "name": "farm", "concurrency": 4}]
        (folder := tmp_path / "job").mkdir()
        script = f'case "$PLACE" in "") touch {tmp_path}/on-farm; sleep 2;; *) sleep 0.5;; esac'
        work = asyncio.create_task(rendered(folder, job_of(script, chunks=12), places, retry_delay_seconds=0.05))
        while not (tmp_path / "on-farm").exists():
            assert not work.done(), work.result()
            await asyncio.sleep(0.05)
        for process in (farm.scheduler, *farm.nodes.values()):
            assert process is not None
            process.kill()
        report = await work
    assert "local" in accepted_at(report)
    gone = report.places[1]
    assert gone.failed > 0
    assert gone.benched == 1
    assert "farm gets no chunks for" in caplog.text


async def test_lambda_beside_this_machine_then_alone(tmp_path: Path, amazon: Aws) -> None:
    """Both render; a run that was stopped goes on with other places than before, and keeps what was accepted."""
    (folder := tmp_path / "job").mkdir()
    job = job_of(f"test -e {tmp_path}/go || sleep 1", id=f"resume {tmp_path}")
    both = [{"adapter": "local", "concurrency": 1}, {"adapter": {**amazon.config}, "concurrency": 2}]
    settings = {"job": str(write_job(folder, job)), "adapter": both, "retry_delay_seconds": 0.05}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=settings, state=Pending())
        work = asyncio.create_task(start_flow(run, settings))

        async def two() -> bool:
            assert not work.done(), work.result()
            return len(list(folder.glob("chunk*.mp4"))) >= 2

        await eventually(two)
        await client.set_flow_run_state(run.id, Cancelling(), force=True)
        first = await report_of(await work)
    assert {one.place for chunk in first.chunks for one in chunk.timeline} == {"local", "aws-lambda"}
    kept = sum(chunk.state is RunState.COMPLETED for chunk in first.chunks)
    assert 2 <= kept < CHUNKS
    (tmp_path / "go").touch()
    report = await rendered(folder, job, [amazon.config, {"adapter": "local", "name": "other"}])
    assert sum(chunk.reused for chunk in report.chunks) == kept


WRONG: list[tuple[Any, str]] = [
    ([], "The list of adapters has 0 entries"),
    (["local", "local"], "Adapters 1 and 2 of the list are both called 'local'"),
    ([{"adapter": "local", "concurrency": 0}, "farm"], "adapter 1 of the list: concurrency: 0; expected"),
    ([{"adapter": "local", "cost_per_hour": -1}], "adapter 1 of the list: cost_per_hour: -1; expected"),
    ([{"adapter": "local", "slots": 3}], "adapter 1 of the list: slots: an unknown field"),
    (["local", {"type": "nowhere"}], "Unknown adapter 'nowhere'"),
]


@pytest.mark.parametrize(("places", "message"), WRONG, ids=[message for _, message in WRONG])
async def test_refused(tmp_path: Path, places: Any, message: str) -> None:
    """Nothing runs, and one line says what is wrong with the list."""
    path = write_job(tmp_path, job_of("touch ran", chunks=1))
    state: State[Any] = await render_job(str(path), adapter=places, return_state=True)
    assert state.is_failed()
    assert message in (state.message or "")
    assert not (tmp_path / "ran").exists()
