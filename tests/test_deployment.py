"""A job from Prefect: `prefect deploy --all`, a process worker, `prefect deployment run … --watch`."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

from testbed.encodes import Film, decoded, write_film
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import ask_api, here, said, until
from tests.conftest import ProcessesOf
from tests.running import is_alive

ROOT = Path(__file__).parents[1]
PREFECT = str(Path(sys.executable).with_name("prefect"))


def prefect(*words: str, check: bool = True) -> str:
    """Run Prefect's command line in the checkout, as a user does, and return what it said."""
    done = subprocess.run(
        [PREFECT, *words],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def make_pool(name: str) -> None:
    """Do what `prefect work-pool create --type process --overwrite` does."""
    template = ProcessWorker.get_default_base_job_template()
    async with get_client() as client:
        kind = WorkPoolCreate(name=name, type="process", base_job_template=template)
        await client.create_work_pool(kind, overwrite=True)


async def make_deployment(name: str, *, pool: str) -> UUID:
    """Do what `prefect work-pool create` and `prefect deploy` do, which take four seconds of CPU each."""
    await make_pool(pool)
    pull: dict[str, Any] = {"farm.checkout.enter": {}}
    async with get_client() as client:
        flow = await client.create_flow_from_name("render-job")
        return await client.create_deployment(
            flow, name, work_pool_name=pool, pull_steps=[pull], entrypoint="flows/render.py:render_job"
        )


@contextmanager
def a_worker(log: Path, *, pool: str, checkout: Path = ROOT) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process worker of a pool within the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [PREFECT, "worker", "start", "--pool", pool],
            cwd=checkout,
            # What an editable install of the checkout does in a virtual environment of its own.
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield process
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        # A fault of Prefect: a worker that has lost its connection for events fails at its end with anyio's
        # NoEventLoopError, and does not exit. Seen on a busy machine.
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def worker(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The work pool, the deployments, and a worker process; the API's address."""
    asyncio.run(make_pool("helios"))
    with a_worker(tmp_path_factory.mktemp("worker") / "log", pool="helios"):
        prefect("deploy", "--all")
        yield prefect_api


def test_a_job_from_a_deployment(worker: str, tmp_path: Path) -> None:
    """A worker renders a Helios-style job of uneven chunks from frame 60 on into an exact video."""
    sizes = (18, 18, 12)
    path = write_job(tmp_path, make_job(sizes, start=60, suffix=".mov", extra=["--sound"], outputFile="video.mp4"))
    answer = prefect("deployment", "run", "render-job/local", "--param", f"job={path}", "--watch")
    assert "Flow run finished successfully" in answer
    assert read_numbers(tmp_path / "video.mp4") == list(range(60, 108))


def test_an_encode_from_a_deployment(worker: str, tmp_path: Path) -> None:
    """A worker looks at a source, cuts it and encodes it; the run is waited for, read and deleted like a job's."""
    source = write_film(tmp_path / "film.mkv", Film(frames=30))
    words = ("--codec", "ffv1", "--cut", "0.5", "--concurrency", 1, "--deployment", "local")
    run = said("encode", source, "-o", tmp_path / "out.mkv", *words).strip()
    report = json.loads(said("wait", run, "--json"))
    assert (report["state"], report["frames"]) == ("completed", 30)
    assert [picture for _, picture in decoded(tmp_path / "out.mkv")] == [picture for _, picture in decoded(source)]
    assert "film.mkv → out.mkv" in said("logs", run)
    status = json.loads(said("status", run, "--chunks", "--json"))
    assert (status["progress"]["chunks"], len(status["chunks"])) == (2, 3)
    assert report["runId"] in said("delete", run)
    assert "There is no run" in refused("status", report["runId"])


def refused(*words: str) -> str:
    """What a command of this program says that fails."""
    done = here(*words)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.slow  # tests/flows/test_deployment_parameters.py has such runs, in one process
def test_nulls_of_automations_and_of_the_command_line(worker: str, tmp_path: Path) -> None:
    """A run with null for every parameter is as its deployment says, whoever sent it: the server lets it pass.

    What the server lets pass and is no value of its parameter, the run refuses before anything is rendered.
    """
    (tmp_path / "work").mkdir()
    path = write_job(tmp_path, make_job([5] * 2))
    parameters = {"job": str(path), "adapter": "local", "job_dir": str(tmp_path / "work"),
                  "output_file": str(tmp_path / "video.mp4"), "overwrite": True}  # fmt: skip
    local = ask_api("GET", f"{worker}/deployments/name/render-job/local")
    told = ("flow_id", "entrypoint", "pull_steps", "parameter_openapi_schema", "enforce_parameter_schema")
    of_pool = {"work_pool_name": "helios", "name": f"nulls-{tmp_path.name}", "parameters": parameters}
    made = ask_api("POST", f"{worker}/deployments/", {name: local[name] for name in told} | of_pool)
    nulls = dict.fromkeys(local["parameter_openapi_schema"]["properties"])
    run_it = {"type": "run-deployment", "source": "selected", "deployment_id": made["id"], "parameters": nulls}
    on_event = {"type": "event", "posture": "Reactive", "expect": ["films.arrived"], "threshold": 1, "within": 0}
    ask_api("POST", f"{worker}/automations/", {"name": "films", "trigger": on_event, "actions": [run_it]})

    def has_begun() -> bool:
        """Whether the automation has made its run; it learns of itself some time after it was made."""
        event = {"occurred": datetime.now(UTC).isoformat(), "event": "films.arrived", "id": str(uuid4()),
                 "resource": {"prefect.resource.id": "films"}}  # fmt: skip
        ask_api("POST", f"{worker}/events", [event])
        sent: list[Any] = ask_api("POST", f"{worker}/flow_runs/filter", {"deployments": {"id": {"any_": [made["id"]]}}})
        return bool(sent)

    until(has_begun)
    until(lambda: (tmp_path / "video.mp4").exists())
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))
    words = [word for name in ("job", "output_file", "retries", "strict", "adapter", "audio_tracks", "audit")
             for word in ("--param", f"{name}=null")]  # fmt: skip
    name = f"render-job/{made['name']}"
    assert "Flow run finished successfully" in prefect("deployment", "run", name, *words, "--watch")
    answer = prefect("deployment", "run", name, "--param", "retries=many", "--watch", check=False)
    assert "retries" in answer


@pytest.mark.slow
def test_a_failing_job_from_a_deployment(worker: str, tmp_path: Path) -> None:
    """The run fails with the chunk, the cause and the last lines as its message."""
    path = write_job(tmp_path, make_job((5,), extra=["--misbehave", "exit:7"]))
    run = said("submit", path, "--retries", 0).strip()
    until(lambda: _state(run)["type"] == "FAILED")
    assert _state(run)["message"].startswith("chunk 0 (frames 0 to 4), attempt 1: ")
    assert "the scene can't be loaded: é" in _state(run)["message"]


@pytest.mark.slow  # tests/cli/test_up.py and tests/flows/test_control.py cancel runs
def test_cancelling_a_run_ends_its_processes(worker: str, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """`prefect flow-run cancel` stops the chunks, also those that ignore SIGTERM; the run is Cancelled."""
    (tmp_path / "notes").mkdir()
    job = make_job([5] * 4, extra=["--misbehave", "hang-hard", "--notes", str(tmp_path / "notes")])
    settings = ("--adapter", "local", "--adapter-config", '{"grace_seconds": 0.5}', "--concurrency", 2)
    run = said("submit", write_job(tmp_path, job), *settings).strip()
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2)
    assert processes_of(tmp_path)
    prefect("flow-run", "cancel", run)
    until(lambda: _state(run)["name"] == "Cancelled")
    until(lambda: processes_of(tmp_path) == [])


@pytest.mark.slow
def test_prefect_s_own_retry_is_a_resume(worker: str, tmp_path: Path) -> None:
    """`prefect flow-run retry`, which sends the same request as Retry in the UI, renders only the missing chunks."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", "fail-times:1", "--only", "5"]
    path = write_job(tmp_path, make_job([5] * 3, extra=words, outputFile="video.mp4"))
    run = said("submit", path, "--retries", 0, "--concurrency", 1).strip()
    until(lambda: _state(run)["name"] == "Failed")
    prefect("flow-run", "retry", run)
    until(lambda: _state(run)["name"] == "Completed")
    assert sorted(note.name.partition("-")[0] for note in (tmp_path / "notes").iterdir()) == ["0", "10", "5", "5"]
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))


@pytest.mark.slow
def test_a_worker_whose_checkout_lies_elsewhere(prefect_api: str, tmp_path: Path) -> None:
    """A worker carries out runs of a deployment in its own checkout, also where another one was deployed from."""
    other = tmp_path / "checkout"
    for package in ("adapters", "farm", "flows", "helios", "tasks"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "here").mkdir()
    write_job(other / "here", make_job([5] * 2, outputFile="video.mp4"))
    deployment = asyncio.run(make_deployment("elsewhere", pool="elsewhere"))
    with a_worker(tmp_path / "log", pool="elsewhere", checkout=other):
        address = f"{prefect_api}/deployments/{deployment}/create_flow_run"
        run = ask_api("POST", address, {"parameters": {"job": "here/job.json"}})["id"]
        until(lambda: _state(run)["name"] == "Completed")
    assert read_numbers(other / "here" / "video.mp4") == list(range(10))


@pytest.mark.slow  # a minute; tests/flows/test_hand_over.py has the hand-over, in one process
def test_the_death_of_the_worker(prefect_api: str, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """SIGKILL of the Prefect worker ends its jobs' processes, and another worker goes on with the run by itself."""
    with doomed(tmp_path) as run:
        until(lambda: processes_of(tmp_path) == [])
        until(lambda: _state(run)["name"] == "HandedOver")
        assert "waits for a worker" in _state(run)["message"]
    with a_worker(tmp_path / "log", pool="doomed"):
        until(lambda: _state(run)["name"] == "Completed")
    assert read_numbers(tmp_path / "job" / "video.mp4") == list(range(15))
    assert len(list((tmp_path / "notes").iterdir())) == 4
    assert json.loads(said("wait", run, "--json"))["handOvers"] == 1


@pytest.mark.slow
def test_a_run_that_is_not_to_be_handed_over(prefect_api: str, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """With no hand-overs left a run whose worker was killed stays Crashed until somebody retries it."""
    with doomed(tmp_path, "--hand-overs", 0) as run:
        until(lambda: processes_of(tmp_path) == [])
        until(lambda: _state(run)["name"] == "Crashed")
    with a_worker(tmp_path / "log", pool="doomed"):
        said("retry", run)
        until(lambda: _state(run)["name"] == "Completed")
    assert read_numbers(tmp_path / "job" / "video.mp4") == list(range(15))
    assert len(list((tmp_path / "notes").iterdir())) == 4


@contextmanager
def doomed(folder: Path, *words: str | int) -> Iterator[str]:
    """Give a job to a worker that is killed while it renders the second of three chunks; its run, with no worker."""
    (folder / "notes").mkdir()
    (folder / "job").mkdir()  # the worker's log in it would be an input that changes
    extra = ["--notes", str(folder / "notes"), "--misbehave", "slow:4"]
    path = write_job(folder / "job", make_job([5] * 3, extra=extra, outputFile="video.mp4"))
    asyncio.run(make_deployment("doomed", pool="doomed"))
    with a_worker(folder / "log", pool="doomed") as worker:
        run = said("submit", path, "--deployment", "doomed", "--concurrency", 1, *words).strip()
        until(lambda: len(list((folder / "notes").iterdir())) == 2)
        flow = psutil.Process(worker.pid).children()[0]
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)
        yield run
        until(lambda: not is_alive(flow))


def _state(run: str) -> dict[str, Any]:
    """A run's state, as the API tells it."""
    state: dict[str, Any] = ask_api("GET", f"{os.environ['PREFECT_API_URL']}/flow_runs/{run}")["state"]
    return state
