"""The Prefect server that `helios-job run` starts where none is configured: its states, its end."""

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from testbed.jobs import make_job, write_job
from testbed.prefect_home import flow_run_states, furnish
from testbed.video import read_numbers
from tests.command import helios_job, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import is_alive


@pytest.mark.slow
def test_a_server_that_ends_as_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends as it starts is reported with its exit code and the cause."""
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(b"SQLite format 3\0".ljust(8192, b"\0"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    done = helios_job("run", write_job(tmp_path, make_job([3])))
    assert done.returncode == 1
    assert re.search(r"ended with code \d+ as it started; its log is .*\n.*file is not a database", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_stopped_in_the_middle(tmp_path: Path, processes_of: ProcessesOf, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM exit with 130, leave no process, and record Cancelled in the command's own server."""
    job = make_job([5] * 6, extra=["--misbehave", "hang-hard", "--notes", str(tmp_path / "notes")])
    (tmp_path / "notes").mkdir()
    write_job(tmp_path, job)
    home = tmp_path / "prefect"
    furnish(home)
    words = ("run", tmp_path / "job.json", "--concurrency", 2, "--adapter-config", '{"grace_seconds": 0.5}')
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": ""}
    process = start_helios_job(*words, env=env)
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    assert processes_of(tmp_path)
    # A terminal sends the signal to the whole foreground process group.
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "helios-job: The job was cancelled" in said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []
    flows, tasks = flow_run_states(home)
    assert flows == ["Cancelled"]
    assert tasks == {"chunk-0": "Cancelled", "chunk-1": "Cancelled"}


@pytest.mark.slow  # the test above has a server of its own, and its states
def test_a_server_of_its_own_records_every_state(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Without a configured server the command starts its own, whose database has every last state at the end."""
    write_job(tmp_path, make_job([2] * 4, outputFile="video.mp4"))
    home = tmp_path / "prefect"
    furnish(home)
    process = start_helios_job("run", tmp_path / "job.json", env={"PREFECT_HOME": str(home), "PREFECT_API_URL": ""})
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "helios-job up, open its link, then http://127.0.0.1:4200/runs/flow-run/" in said
    flows, tasks = flow_run_states(home)
    assert flows == ["Completed"]
    assert tasks == {f"chunk-{index}": "Completed" for index in range(4)} | {"stitch": "Completed"}
    assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_two_commands_with_servers_of_their_own_do_not_share_an_output(tmp_path: Path) -> None:
    """A claim in the folder refuses the second command, although the servers share no runs; the first is exact."""
    (tmp_path / "gate").mkdir()
    waits = ["--misbehave", f"until:{tmp_path / 'gate'}"]
    first = write_job(tmp_path, make_job((5, 5), extra=waits, id="first")).rename(tmp_path / "first.json")
    second = write_job(tmp_path, make_job((5, 5), start=50, id="second")).rename(tmp_path / "second.json")
    for home in ("one", "two"):
        furnish(tmp_path / home)
    env = {"PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path / "one")}
    process = start_helios_job("run", first, "--output", tmp_path / "first.mp4", env=env)
    until(lambda: list(tmp_path.glob(".helios/claims/*.json")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    done = helios_job(
        "run", second, "--output", tmp_path / "second.mp4",
        env={**os.environ, **env, "PREFECT_HOME": str(tmp_path / "two")},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "more of this job's outputs are being written by the job 'first', run first-" in done.stderr
    assert f"process {process.pid} on " in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "gate" / "all").touch()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert read_numbers(tmp_path / "first.mp4") == list(range(10))
    assert not (tmp_path / "second.mp4").exists()


@pytest.mark.slow
def test_a_server_of_its_own_does_not_outlive_its_command(tmp_path: Path) -> None:
    """The command's own server ends even when the command is killed with SIGKILL."""
    write_job(tmp_path, make_job((5,), extra=["--misbehave", "hang"]))
    home = tmp_path / "prefect"
    furnish(home)
    process = start_helios_job("run", tmp_path / "job.json", env={"PREFECT_HOME": str(home), "PREFECT_API_URL": ""})

    def servers() -> list[psutil.Process]:
        return [child for child in psutil.Process(process.pid).children() if _is_server(child)]

    until(lambda: servers() or process.poll() is not None)
    (server,) = servers()
    process.kill()
    process.communicate()
    until(lambda: not is_alive(server))


def _is_server(process: psutil.Process) -> bool:
    try:
        return "farm.server.embedded" in process.cmdline()
    except psutil.Error:  # the process has ended since it was listed
        return False
