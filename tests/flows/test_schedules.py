"""Scheduled renders: dates in names, no overwriting unless asked for, and missed runs."""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import CronSchedule
from prefect.states import Scheduled

from farm.here import start_flow
from farm.missed_runs import MISSED, mark_missed_runs
from flows.render import render_job
from helios.errors import RequestError
from tasks.prefect_api.states import to_be_resumed
from tasks.request.output_name import complete_name, plain_name
from tasks.request.scheduled_time import SCHEDULE, scheduled_time
from testbed.jobs import make_job, write_job
from tests.command import said
from tests.running import eventually, render, report_of

pytestmark = pytest.mark.usefixtures("prefect_api")


def test_placeholders() -> None:
    """Each placeholder stands for a part of the time; an unknown placeholder is refused with the known ones."""
    when = datetime(2026, 3, 7, 3, 5, tzinfo=UTC)
    name = complete_name("s3://b/{year}/{month}/{day}-{weekday}/film-{date}-{time}.mp4", when)
    assert name == "s3://b/2026/03/07-Sat/film-2026-03-07-0305.mp4"
    with pytest.raises(RequestError, match=r"'\{data\}.mp4' has a placeholder \{data\} that is not known; there are "
                                           r"\{date\}, \{time\}"):  # fmt: skip
        complete_name("{data}.mp4", when)
    with pytest.raises(RequestError, match=r"For a name with braces in it, write them twice: \{\{data\}\}"):
        complete_name("{data}.mp4", when)
    assert plain_name(complete_name("{{date}} {date} {{x}} {.mp4", when)) == "{date} 2026-03-07 {x} {.mp4"


async def test_braces_that_belong_to_a_name(tmp_path: Path) -> None:
    """Braces that are written twice stand in the video's name, and so does what a job document says."""
    job = make_job([5], outputFile="scene {final}.mp4")
    _, report = await render(tmp_path, job)
    assert report.output == str(tmp_path / "scene {final}.mp4")
    _, report = await render(tmp_path, job, output_file="take {{1}}.mp4")
    assert report.output == str(tmp_path / "take {1}.mp4")


async def test_the_date_is_in_the_video_s_name(tmp_path: Path) -> None:
    """The date in the video's name is today for a run that was not scheduled."""
    before = datetime.now().astimezone()
    _, report = await render(tmp_path, make_job([5] * 2), output_file="renders/{year}/film-{date}.mp4")
    # The day can change while the test runs.
    days = (before, datetime.now().astimezone())
    assert report.output in [str(tmp_path / f"renders/{day:%Y}/film-{day:%Y-%m-%d}.mp4") for day in days]
    assert [path.name for path in tmp_path.iterdir() if "{" in path.name] == []


async def test_no_overwriting_when_that_is_asked_for(client: PrefectClient, tmp_path: Path) -> None:
    """With overwrite=False an existing video is refused with what to do; a retried run may replace its own video."""
    job = make_job([5] * 2, outputFile="video.mp4")
    state, report = await render(tmp_path, job, overwrite=False)
    assert state.is_completed()
    before = (tmp_path / "video.mp4").stat().st_mtime_ns
    path = write_job(tmp_path, job)
    refused = await render_job(str(path), overwrite=False, return_state=True)
    assert "video.mp4 is there already, and this run may not replace it; put {date}" in (refused.message or "")
    assert (tmp_path / "video.mp4").stat().st_mtime_ns == before
    await client.set_flow_run_state(UUID(report.run_id), to_be_resumed(), force=True)
    run = await client.read_flow_run(UUID(report.run_id))
    again = await start_flow(run, run.parameters)
    assert (await report_of(again)).output == str(tmp_path / "video.mp4")
    assert (await render(tmp_path, job))[0].is_completed()


async def deployment_with_schedule(client: PrefectClient, name: str, cron: str, zone: str) -> UUID:
    """Create a deployment in a pool of its own, with a cron schedule."""
    await client.create_work_pool(WorkPoolCreate(name=name, type="process"), overwrite=True)
    flow = await client.create_flow_from_name("render-job")
    return await client.create_deployment(
        flow,
        name,
        work_pool_name=name,
        entrypoint="flows/render.py:render_job",
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone=zone), active=True)],
    )


async def planned(client: PrefectClient, deployment: UUID) -> list[FlowRun]:
    """The runs of a deployment, by their times, once there are any."""
    found: list[FlowRun] = []

    async def look() -> bool:
        body = {"deployments": {"id": {"any_": [str(deployment)]}}, "sort": "EXPECTED_START_TIME_ASC"}
        answer = await client.request("POST", "/flow_runs/filter", json=body)
        found[:] = [FlowRun.model_validate(one) for one in answer.json()]
        return bool(found)

    await eventually(look)
    return found


async def test_a_schedule_plans_runs(client: PrefectClient, tmp_path: Path) -> None:
    """Prefect plans the runs of a schedule, and a run's time is in the schedule's time zone."""
    name = f"planned-{tmp_path.parent.name}"
    deployment = await deployment_with_schedule(client, name, "30 3 * * *", "Asia/Tokyo")
    run = (await planned(client, deployment))[0]
    assert run.created_by is not None
    assert run.created_by.type == SCHEDULE
    when = await scheduled_time(client, run)
    assert complete_name("{time}", when) == "0330"
    assert str(when.tzinfo) == "Asia/Tokyo"
    await client.delete_deployment(deployment)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2027-03-26"),
        pytest.param("Europe/Berlin", "2027-10-29", marks=pytest.mark.slow),
        pytest.param("America/New_York", "2027-03-12", marks=pytest.mark.slow),
        ("America/New_York", "2027-11-05"),
    ],
)
async def test_one_video_a_day_when_clocks_change(client: PrefectClient, tmp_path: Path, zone: str, day: str) -> None:
    """A time that the clock skips, or shows twice, makes one run for each date, and each has a name of its own."""
    name = f"clocks-{zone[:2]}-{day}-{tmp_path.parent.name}"
    deployment = await deployment_with_schedule(client, name, "30 2 * * *", zone)
    start = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    until = start + timedelta(days=4)
    times = {"start_time": start.isoformat(), "end_time": until.isoformat()}
    await client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=times)
    runs = [run for run in await planned(client, deployment) if start <= (run.expected_start_time or start) < until]
    names = [complete_name("night-{date}.mp4", await scheduled_time(client, run)) for run in runs]
    first = datetime.fromisoformat(day) + timedelta(days=1)
    assert names[:3] == [f"night-{first + timedelta(days=later):%Y-%m-%d}.mp4" for later in range(3)]
    await client.delete_deployment(deployment)


def test_planned_runs_are_listed_when_asked_for(tmp_path: Path) -> None:
    """Planned runs are listed only on request: with a nightly render they would fill the list."""

    async def plan() -> str:
        async with get_client() as client:
            later: State[None] = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))
            return str((await client.create_flow_run(render_job, parameters={"job": "j.json"}, state=later)).id)

    run = asyncio.run(plan())
    assert run not in said("list", "--limit", 200)
    assert run in said("list", "--limit", 200, "--planned")
    assert "waits" not in said("status", run)


@pytest.mark.slow
async def test_runs_that_nobody_was_there_for(client: PrefectClient, tmp_path: Path) -> None:
    """Missed runs are marked and not rendered hours late; runs that were never planned are shown as missed, too."""
    name = f"missed-{tmp_path.parent.name}"
    deployment = await deployment_with_schedule(client, name, "0 * * * *", "UTC")
    late = (await planned(client, deployment))[0]
    # Change the database into that of a farm that was off for half a day: a test can't wait for that. The coming runs
    # stay: a server plans them as it starts, before its worker begins.
    _move_back(late, timedelta(hours=12))
    marked = await mark_missed_runs(client, name)
    first = await client.read_flow_run(late.id)
    assert first.state is not None
    assert (first.state.name, first.state.type.value) == (MISSED, "CANCELLED")
    assert f"helios-job retry {late.id} renders it now" in (first.state.message or "")
    unplanned = [run for run in marked if run.id != late.id]
    assert [run.name.partition("-")[0] for run in unplanned] == ["missed"] * 10
    assert await mark_missed_runs(client, name) == []
    document = json.loads(await asyncio.to_thread(said, "status", late.id, "--json"))
    assert (document["state"], document["message"].partition(";")[0][:20]) == ("cancelled", "No worker was there ")
    await client.delete_deployment(deployment)


def _move_back(run: FlowRun, by: timedelta) -> None:
    assert run.expected_start_time is not None
    when = (run.expected_start_time - by).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(Path(os.environ["PREFECT_HOME"], "prefect.db"), timeout=60)) as database, database:
        database.execute(
            "update flow_run set expected_start_time = ?, next_scheduled_start_time = ? where id = ?",
            (when, when, str(run.id)),
        )
