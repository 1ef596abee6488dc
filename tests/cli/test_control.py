"""`helios-job cancel`, `pause`, `resume`, `worker`, on jobs of other processes."""

import asyncio
import json
import os
import re
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from helios.errors import RequestError
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import here, said, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import begun, render
from tests.test_deployment import prefect

pytestmark = pytest.mark.usefixtures("prefect_api")
GRACE = '{"grace_seconds": 1}'


def records(run: str) -> list[Path]:
    """Prefect's files with the records of a run's accepted chunks."""
    storage = Path(os.environ["PREFECT_HOME"], "storage", "helios-render")
    return [path for path in storage.rglob("chunk-*") if run in str(path.parent)]


@contextmanager
def a_running_job(folder: Path, misbehave: str, *, chunks: int = 6) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Run `helios-job run` within the block, with two chunks begun; yield its process and the run's id."""
    (folder / "notes").mkdir()
    words = ["--notes", str(folder / "notes"), "--misbehave", misbehave]
    path = write_job(folder, make_job([5] * chunks, extra=words, outputFile="video.mp4"))
    process = start_helios_job("run", path, "--concurrency", 2, "--adapter-config", GRACE)
    try:
        until(lambda: begun(folder) >= 2)
        yield process, _id_of_latest()
    finally:
        process.kill()
        process.communicate()


def _id_of_latest() -> str:
    return str(json.loads(said("list", "--limit", 1, "--json"))[0]["runId"])


def test_sigkill_and_resume(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """The list shows a killed run as crashed; resume renders the missing chunks and says how many it reused."""
    with a_running_job(tmp_path, "slow:2") as (process, run):
        until(lambda: begun(tmp_path) >= 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not processes_of(tmp_path))
    listed = next(line for line in said("list").splitlines() if line.startswith(run))
    assert listed.split()[1] == "crashed"
    assert f"helios-job resume {run} goes on" in listed
    there, had_begun = len(list(tmp_path.glob("chunk ?.mp4"))), begun(tmp_path)
    done = here("resume", run)
    assert done.returncode == 0, done.stderr
    said_so = re.search(r"video\.mp4: 30 frames, .* \((\d) of 6 chunks reused\)", done.stdout)
    assert said_so is not None, done.stdout
    # An output whose record was not written before the kill is rendered again.
    reused = int(said_so[1])
    assert max(there - 2, 1) <= reused <= there
    assert begun(tmp_path) == 6 + had_begun - reused
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    assert json.loads(said("status", run, "--json"))["state"] == "completed"


@pytest.mark.slow
def test_pause_that_outlives_its_process(tmp_path: Path) -> None:
    """A run that was paused and then killed goes on where it stopped when it is resumed."""
    with a_running_job(tmp_path, f"until:{tmp_path}", chunks=8) as (process, run):
        assert f"helios-job resume {run} goes on" in said("pause", run)
        until(lambda: "; paused" in said("status", run))  # its process has read the state
        assert f"{run}): paused" in said("status", run)
        (tmp_path / "all").touch()
        until(lambda: "10 of 40 frames, 2 of 8 chunks" in said("status", run))
        until(lambda: len(records(run)) == 2)
        # Another job completes meanwhile: by then a job that is not paused would have begun further chunks.
        (tmp_path / "another").mkdir()
        asyncio.run(render(tmp_path / "another", make_job([5] * 4)))
        assert begun(tmp_path) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    report = json.loads(said("resume", run, "--json"))
    assert [chunk["reused"] for chunk in report["chunks"]].count(True) == 2
    assert begun(tmp_path) == 8
    assert read_numbers(tmp_path / "video.mp4") == list(range(40))


def test_cancel_ends_everything(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Cancel returns when all commands have ended, deaf ones included; the command that ran the job exits with 130."""
    with a_running_job(tmp_path, "hang-hard") as (process, run):
        answer = said("cancel", run)
        assert processes_of(tmp_path / "notes") == []
        assert answer.endswith(": cancelled\n")
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 130
        assert "The job was cancelled" in errors
    with pytest.raises(RequestError, match="is cancelled already; there is nothing to cancel"):
        said("cancel", run)


@pytest.mark.slow  # tests/flows/test_resume.py has two runs, in one process
def test_a_second_run_of_a_job_says_who_has_it(tmp_path: Path) -> None:
    """A second run of a running job names the first run's process, and starts no command."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
    path = write_job(tmp_path, make_job([5] * 2, extra=words, id=f"held {tmp_path.name}"))
    process = start_helios_job("run", path)
    until(lambda: begun(tmp_path) == 2)
    second = here("run", path)
    assert second.returncode == 1
    assert re.search(rf"is being rendered by run job-\w+ .*, process {process.pid} on .*; wait", second.stderr)
    assert begun(tmp_path) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    process.communicate()


@pytest.mark.parametrize("command", ["status", "logs", "wait", "cancel", "pause", "resume", "retry", "delete"])
def test_a_run_that_there_is_not(command: str) -> None:
    """An unknown run is refused with its name and a hint to `helios-job list`."""
    with pytest.raises(RequestError, match="There is no run 'no-such-run'; helios-job list shows those that there are"):
        said(command, "no-such-run")


@pytest.mark.slow
def test_a_worker_takes_its_jobs_with_it(prefect_api: str, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """`workers` says what a worker renders; SIGTERM cancels its job and leaves no process, and it exits with 0."""
    prefect("work-pool", "create", "ours", "--type", "process", "--overwrite")
    prefect("deploy", "-n", "local", "--pool", "ours")
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
    path = write_job(tmp_path, make_job([5] * 3, extra=words))
    address = {"PREFECT_API_URL": prefect_api, **os.environ}
    worker = start_helios_job("worker", "--pool", "ours", "--name", "render-7", env=address)
    run = said("submit", path, "--concurrency", 1).strip()
    until(lambda: begun(tmp_path) == 1)
    named = {one["name"]: one for one in json.loads(said("workers", "--json"))}
    assert (named["render-7"]["online"], named["render-7"]["pool"]) == (True, "ours")
    assert [one["id"] for one in named["render-7"]["runs"]] == [run]
    lines = said("workers").splitlines()
    assert lines[0].split() == ["NAME", "STATE", "POOL", "SEEN", "RENDERS"]
    assert any(line.startswith("render-7 ") and " online " in line and "job-" in line for line in lines)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=300)
    assert worker.returncode == 0
    assert processes_of(tmp_path) == []
    assert json.loads(said("status", run, "--json"))["state"] == "cancelled"
    assert begun(tmp_path) == 1


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """A command reports a server that does not answer in one line, and exits with 1."""
    path = write_job(tmp_path, make_job((5,)))
    address = "http://127.0.0.1:1/api"
    with temporary_settings({PREFECT_API_URL: address}):
        answers = here("list"), here("run", path)
    for done in answers:
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"helios-job: Prefect's API at {address} does not answer")
        assert "Traceback" not in done.stderr


def test_an_address_that_is_no_api(tmp_path: Path) -> None:
    """An address without /api is refused in a line; tests/farm/test_configured_server.py has the other mistakes."""
    content, says = b"<html>", "is not the address of a Prefect API: .* did you mean http:.*/api"
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin/version").write_bytes(content)
    with socketserver.TCPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_address[1]}"}):
            done = here("list")
        server.shutdown()
    assert done.returncode == 1
    assert re.search(says, done.stderr.splitlines()[-1])
