"""The example of a third party's adapter: installed as its README says, its own tests, and a job that uses it."""

import asyncio
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from helios import WorkerJob, WorkerUnavailableError
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import HELIOS_JOB

FARM = Path(__file__).parents[2] / "examples" / "folder_farm"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variable with which this environment has the package too, which is installed beside it."""
    target = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
    ]
    subprocess.run([*pip, str(FARM)], check=True, timeout=300, capture_output=True)
    return {"PYTHONPATH": str(target)}


@pytest.mark.slow  # half a minute; `test_a_job_over_it` has what a job needs of it
def test_it_keeps_the_contract(installed: dict[str, str], tmp_path: Path) -> None:
    """The example's own tests, which are the contract suite, pass."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*words, str(FARM / "tests")],
        env={**os.environ, **installed}, cwd=tmp_path, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
async def test_a_worker_is_killed(installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its order is a failure of the environment, and the other worker takes the next one."""
    monkeypatch.syspath_prepend(installed["PYTHONPATH"])
    package = import_module("folder_farm.adapter")
    farm = tmp_path / "farm"
    adapter = package.FolderFarm(package.FolderFarmConfig(folder=farm))
    words = [sys.executable, "-m", "folder_farm.worker", str(farm)]
    first = subprocess.Popen(words, env={**os.environ, **installed})
    task = asyncio.create_task(adapter.execute(WorkerJob(command="sleep", args=("600",))))
    while not list((farm / "taken").iterdir()):
        await asyncio.sleep(0.1)
    first.kill()
    await asyncio.to_thread(first.wait)
    with pytest.raises(WorkerUnavailableError, match="said nothing for 15 s"):
        await asyncio.wait_for(task, 120)
    second = subprocess.Popen(words, env={**os.environ, **installed})
    try:
        result = await asyncio.wait_for(adapter.execute(WorkerJob(command="true")), 120)
    finally:
        second.terminate()
        await asyncio.to_thread(second.wait)
    assert result.exit_code == 0
    assert not list((farm / "taken").iterdir())


@pytest.mark.slow
def test_a_job_over_it(prefect_api: str, installed: dict[str, str], tmp_path: Path) -> None:
    """`helios-job run --adapter folder-farm` finds the adapter by its entry point, and the video is exact."""
    job = write_job(tmp_path, make_job(outputFile="video.mp4"))
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "folder_farm.worker", str(tmp_path / "farm")], env={**os.environ, **installed}
        )
        for _ in range(2)
    ]
    config = json.dumps({"folder": str(tmp_path / "farm")})
    try:
        done = subprocess.run(
            [HELIOS_JOB, "run", str(job), "--adapter", "folder-farm", "--adapter-config", config],
            env={**os.environ, **installed}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    assert done.returncode == 0, done.stderr
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
