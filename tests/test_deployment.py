"""A job from Prefect: `prefect deploy --all`, a process worker, `prefect deployment run … --watch`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.command import until
from tests.conftest import ProcessesOf
from tests.jobs import make_job, write_job
from tests.video import read_numbers

ROOT = Path(__file__).parents[1]
PREFECT = str(Path(sys.executable).with_name("prefect"))


def prefect(*words: str, check: bool = True) -> str:
    """Run Prefect's command line in the checkout, as a user does, and return what it said."""
    done = subprocess.run(
        [PREFECT, *words],
        cwd=ROOT,
        env={**os.environ, "PWD": str(ROOT), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def worker(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The work pool, the deployments, and a worker process; the API's address."""
    prefect("work-pool", "create", "helios", "--type", "process")
    prefect("deploy", "--all")
    log = (tmp_path_factory.mktemp("worker") / "log").open("wb")
    process = subprocess.Popen(
        [PREFECT, "worker", "start", "--pool", "helios"], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
    )
    yield prefect_api
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        # Prefect's own: a worker that has lost its connection for events fails at its end with anyio's
        # NoEventLoopError, and stays. Seen on a busy machine.
        process.kill()
        process.wait()
    log.close()


def test_a_job_from_a_deployment(worker: str, tmp_path: Path) -> None:
    """A Helios-style job, seven uneven chunks from frame 60 on: the worker's video is exact."""
    sizes = (18, 18, 18, 18, 18, 18, 12)
    path = write_job(tmp_path, make_job(sizes, start=60, suffix=".mov", extra=["--sound"], outputFile="video.mp4"))
    said = prefect("deployment", "run", "render-job/local", "--param", f"job={path}", "--watch")
    assert "Flow run finished successfully" in said
    assert read_numbers(tmp_path / "video.mp4") == list(range(60, 180))


def test_a_failing_job_from_a_deployment(worker: str, tmp_path: Path) -> None:
    """The run fails with the chunk, the cause and the last lines as its message."""
    path = write_job(tmp_path, make_job((5,), extra=["--misbehave", "exit:7"]))
    said = prefect(
        "deployment",
        "run",
        "render-job/local",
        "--param",
        f"job={path}",
        "--param",
        "retries=0",
        "--watch",
        check=False,
    )
    run = httpx.get(f"{worker}/flow_runs/{_run_id(said)}").json()
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"].startswith("chunk 0 (frames 0 to 4), attempt 1: ")
    assert "the scene can't be loaded: é" in run["state"]["message"]


def test_cancelling_a_run_ends_its_processes(worker: str, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """`prefect flow-run cancel` stops the chunks, also those that ignore SIGTERM; the run is Cancelled."""
    (tmp_path / "notes").mkdir()
    job = make_job([5] * 4, extra=["--misbehave", "hang-hard", "--notes", str(tmp_path / "notes")])
    path = write_job(tmp_path, job)
    adapter = '{"type": "local", "grace_seconds": 0.5}'
    said = prefect(
        "deployment", "run", "render-job/local", "--param", f"job={path}", "--param", f"adapter={adapter}",
        "--param", "concurrency=2",
    )  # fmt: skip
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2)
    assert processes_of(tmp_path)
    prefect("flow-run", "cancel", _run_id(said))
    until(lambda: httpx.get(f"{worker}/flow_runs/{_run_id(said)}").json()["state"]["name"] == "Cancelled")
    until(lambda: processes_of(tmp_path) == [])


def _run_id(said: str) -> str:
    found = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", said)
    assert found, said
    return found[0]
