"""Runs of deployments: what a form left empty is as the deployment says, and a name that somebody typed is kept."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Scheduled
from prefect.utilities.names import generate_slug

from farm.here import start_flow
from flows.render import render_job
from tasks.request.made_up_name import is_made_up
from tasks.request.parameters import PARAMETERS
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import start_helios_job
from tests.running import eventually, report_of
from tests.test_deployment import make_deployment

pytestmark = pytest.mark.usefixtures("prefect_api")


async def deploy(client: PrefectClient, folder: Path, **parameters: Any) -> UUID:
    """Make a deployment of a job, whose document is in a folder of its own; return its id."""
    (folder / "document").mkdir()
    path = write_job(folder / "document", make_job([5] * 2))
    flow = await client.create_flow_from_name("render-job")
    return await client.create_deployment(
        flow,
        f"nightly-{folder.name}",
        entrypoint="flows/render.py:render_job",
        parameters={"job": str(path)} | parameters,
        parameter_openapi_schema=render_job.parameters.model_dump(),
        enforce_parameter_schema=False,  # as prefect.yaml says
    )


async def read_runs(client: PrefectClient, deployment: UUID) -> list[FlowRun]:
    """The runs of a deployment, in the order of their times."""
    body = {"deployments": {"id": {"any_": [str(deployment)]}}, "sort": "EXPECTED_START_TIME_ASC"}
    answer = await client.request("POST", "/flow_runs/filter", json=body)
    return [FlowRun.model_validate(one) for one in answer.json()]


async def carry_out(client: PrefectClient, run: FlowRun) -> State[Any]:
    """Do what a worker does: run the flow with the parameters that Prefect has."""
    await client.set_flow_run_state(run.id, Scheduled(), force=True)
    return await start_flow(run, run.parameters)


def video_of(folder: Path) -> dict[str, Any]:
    """The parameters of a deployment with a job folder and a video of its own."""
    (folder / "work").mkdir()
    return {"job_dir": str(folder / "work"), "output_file": str(folder / "video-{date}.mp4"), "retries": 1}


async def test_nulls_of_a_form(client: PrefectClient, tmp_path: Path) -> None:
    """Nulls and empty texts of a run are as its deployment says, and its page shows what that is."""
    said = video_of(tmp_path)
    deployment = await deploy(client, tmp_path, **said)
    empty: dict[str, Any] = {"output_file": None, "job_dir": "", "webhook": None, "chunks": [], "cache": " "}
    run = await client.create_flow_run_from_deployment(deployment, parameters=empty)
    report = await report_of(await carry_out(client, run))
    (video,) = tmp_path.glob("video-*.mp4")
    assert report.output == str(video)
    assert read_numbers(video) == list(range(10))
    assert len(list((tmp_path / "work").glob("chunk ?.mp4"))) == 2
    shown = (await client.read_flow_run(run.id)).parameters
    assert {name: shown[name] for name in ("output_file", "job_dir")} == {
        name: said[name] for name in ("output_file", "job_dir")
    }


async def test_a_schedule_with_every_parameter_null(client: PrefectClient, tmp_path: Path) -> None:
    """A schedule whose dialog sent null for every parameter renders what its deployment says."""
    deployment = await deploy(client, tmp_path, **video_of(tmp_path))
    schedule = DeploymentScheduleCreate(
        schedule=IntervalSchedule(interval=timedelta(hours=1)), active=True, parameters=dict.fromkeys(PARAMETERS)
    )
    await client.create_deployment_schedules(deployment, [schedule])

    async def is_planned() -> bool:
        return bool(await read_runs(client, deployment))

    await eventually(is_planned)
    run = (await read_runs(client, deployment))[0]
    assert run.parameters["job"] is None
    report = await report_of(await carry_out(client, run))
    assert report.output is not None
    assert report.output.startswith(str(tmp_path / "video-2"))
    assert report.retries == 1
    await client.delete_deployment(deployment)


async def test_single_chunks_of_a_deployment_with_a_video(client: PrefectClient, tmp_path: Path) -> None:
    """With null for the video, single chunks of a deployment are rendered, and the run says that there is no video."""
    deployment = await deploy(client, tmp_path, **video_of(tmp_path))
    run = await client.create_flow_run_from_deployment(deployment, parameters={"chunks": [1], "output_file": None})
    state = await carry_out(client, run)
    assert (await report_of(state)).output is None
    assert (state.message or "").startswith("No video: none was asked for (parameter output_file")
    assert state.is_completed()


async def test_no_deployment_says_it_either(client: PrefectClient, tmp_path: Path) -> None:
    """Where the deployment does not name a video either, the run completes, and its state says that there is none."""
    deployment = await deploy(client, tmp_path)
    run = await client.create_flow_run_from_deployment(deployment, parameters={"output_file": None})
    state = await carry_out(client, run)
    assert state.is_completed()
    assert f"the chunks are in {tmp_path}/document" in (state.message or "")


async def test_a_job_that_nobody_named(client: PrefectClient, tmp_path: Path) -> None:
    """A run without a job document is refused with what was expected."""
    deployment = await deploy(client, tmp_path, job="")
    run = await client.create_flow_run_from_deployment(deployment, parameters={})
    state = await carry_out(client, run)
    assert state.message == "No job document was named; expected its path or URL, or the document itself"


async def test_what_is_no_value_of_its_parameter(client: PrefectClient, tmp_path: Path) -> None:
    """A word in the place of a number, which the server lets pass, is refused by the run, and nothing is rendered."""
    deployment = await deploy(client, tmp_path)
    run = await client.create_flow_run_from_deployment(deployment, parameters={"retries": "many"})
    state = await carry_out(client, run)
    assert state.is_failed()
    assert "retries" in (state.message or "")
    assert not list((tmp_path / "document").glob("chunk*"))


async def test_a_typed_name_is_kept(client: PrefectClient, tmp_path: Path) -> None:
    """A run keeps the name that somebody typed; one whose name Prefect made up is called after its job."""
    deployment = await deploy(client, tmp_path)
    for name in ("beta-cut", "Teaser, second try", None):
        run = await client.create_flow_run_from_deployment(deployment, name=name, parameters={"fresh": True})
        assert is_made_up(run.name) == (name is None)
        await carry_out(client, run)
        assert (await client.read_flow_run(run.id)).name == (name or f"job-{str(run.id)[-6:]}")


def test_names_that_prefect_makes_up() -> None:
    """Every name that Prefect makes up is known as one; other names are not."""
    assert all(is_made_up(generate_slug(2)) for _ in range(200))
    assert is_made_up("missed-20260307-0305")
    assert not any(is_made_up(name) for name in ("trailer", "blue-trailer", "my-otter", "brave-otter-2", "", "-"))


def test_the_form_s_fields_stay_what_they_are() -> None:
    """Taking null changes nothing of the form: a number stays a number, with its bounds."""
    field = render_job.parameters.model_dump()["properties"]["retries"]
    assert (field["type"], field["minimum"], field["maximum"], field["default"]) == ("integer", 0, 100, 2)


def _hostile(folder: Path) -> dict[str, dict[str, Any]]:
    """Parameters by which a caller would run a command of theirs, which leaves the file `ran`."""
    theirs = make_job([5])
    theirs["chunks"][0]["command"] = f"sh -c 'touch {folder}/ran'"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return {
        "a document": {"job": theirs},
        "settings": {"adapter": {"type": "local", "env": {"BASH_ENV": "/tmp/theirs", "LD_PRELOAD": "/tmp/theirs.so"}}},
        "settings of the merge": {"merge_adapter": {"type": "local", "pass_env": ["PREFECT_API_AUTH_STRING"]}},
        "a document from elsewhere": {"job": str(write_job(elsewhere, theirs))},
    }


@pytest.mark.parametrize("allowed", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_what_callers_may_give(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """A worker that is not told to takes neither documents nor settings of callers; what its deployment says, it does.

    Where they are allowed, the document's command runs, which proves the attack.
    """
    monkeypatch.setattr("flows.render.is_workers_run", lambda _: True)  # as in a process that a worker has started
    monkeypatch.setenv("HELIOS_ALLOW_INLINE", "yes" if allowed else "no")
    own = {"type": "local", "grace_seconds": 1.0}
    deployment = await deploy(client, tmp_path, adapter=own, job_dir=str(tmp_path / "document"))
    if not allowed:
        monkeypatch.setenv("HELIOS_JOB_PREFIXES", str(tmp_path / "document"))
    for what, parameters in _hostile(tmp_path).items():
        if allowed and what != "a document":
            continue
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
        state = await carry_out(client, run)
        assert state.is_failed()
        assert ("This worker takes no" in (state.message or "")) == (not allowed), what
    assert (tmp_path / "ran").exists() == allowed
    (tmp_path / "ran").unlink(missing_ok=True)
    state = await carry_out(client, await client.create_flow_run_from_deployment(deployment))
    assert state.is_completed(), state.message


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ["yes", "no"])
async def test_how_a_run_s_process_is_started(client: PrefectClient, tmp_path: Path, allowed: str) -> None:
    """Job variables of a caller, which can name the command that a worker starts, are refused unless allowed."""
    pool = f"shared-{allowed}"
    deployment = await make_deployment(f"shared-{allowed}", pool=pool)
    run = await client.create_flow_run_from_deployment(
        deployment, parameters={"job": "none.json"}, job_variables={"command": f"touch {tmp_path}/ran"}
    )
    worker = start_helios_job("worker", "--pool", pool, env={"HELIOS_ALLOW_INLINE": allowed})

    async def has_ended() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return (tmp_path / "ran").exists() or (state is not None and state.is_final())

    try:
        await eventually(has_ended)
        assert (tmp_path / "ran").exists() == (allowed == "yes")
    finally:
        worker.terminate()
        worker.communicate(timeout=120)
