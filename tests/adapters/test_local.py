"""What surrounds a command of the local adapter: its variables, and a TMPDIR of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from adapters import create_adapter
from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.errors import CommandTimeoutError, SpecError, WorkerUnavailableError
from helios.models.worker import WorkerJob
from helios.processes.attempt_folder import LOCK, own_temporary_folder, remove_abandoned
from tests.command import until
from tests.conftest import ProcessesOf

LEAVES_FILES = "mkdir $TMPDIR/deep; touch $TMPDIR/deep/file $TMPDIR/file; chmod 500 $TMPDIR/deep; pwd > $TMPDIR/where;"


@pytest.fixture(autouse=True)
def _own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's temporary folder is the test's own, so that other tests' attempts are not in it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def sh(script: str, **fields: object) -> WorkerJob:
    return WorkerJob.model_validate({"command": "sh", "args": ("-c", script), **fields})


def attempts() -> list[Path]:
    """Folders of attempts that are there now."""
    return [path for path in own_temporary_folder().glob("*/*") if path.name != LOCK]


async def environment_of(**settings: object) -> dict[str, str]:
    """The variables that a command gets with these settings."""
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    adapter = LocalAdapter(LocalAdapterConfig.model_validate(settings))
    ended = await adapter.execute(WorkerJob(command=sys.executable, args=("-c", script), env={"JOB": "1"}))
    seen: dict[str, str] = json.loads(ended.stdout)
    return seen


async def test_credentials_do_not_reach_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sees what job and adapter name, no credential, and the mark of its processes."""
    monkeypatch.setenv("PREFECT_API_KEY", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("LICENCE_SERVER", "27000@licences")
    seen = await environment_of(env={"QUALITY": "best"}, pass_env=["LICENCE_*", "AWS_*"])
    assert (seen["JOB"], seen["QUALITY"], seen["LICENCE_SERVER"]) == ("1", "best", "27000@licences")
    assert seen["PATH"] == os.environ["PATH"]
    assert "HELIOS_PROCESS_TREE" in seen
    assert "hush" not in seen.values()


async def test_a_credential_that_is_named_reaches_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is named exactly reaches the command."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    assert (await environment_of(pass_env=["AWS_SECRET_ACCESS_KEY"]))["AWS_SECRET_ACCESS_KEY"] == "hush"


async def test_a_tmpdir_that_is_named_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A TMPDIR of the adapter's settings, or one that is passed by name, replaces the attempt's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert (await environment_of(pass_env=["TMPDIR"]))["TMPDIR"] == str(tmp_path)
    assert (await environment_of(env={"TMPDIR": "/scratch"}))["TMPDIR"] == "/scratch"
    assert Path((await environment_of(pass_env=["TMP*"]))["TMPDIR"]).is_relative_to(own_temporary_folder())


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    """An impossible name is refused before anything runs."""
    with pytest.raises(SpecError, match=r"pass_env\[0\]: .*; expected a variable's name, or a glob pattern"):
        create_adapter({"type": "local", "pass_env": [name]})


@pytest.mark.parametrize("code", [0, 3])
async def test_a_tmpdir_is_gone_after_the_command(code: int) -> None:
    """An attempt's TMPDIR is there for its command alone, and gone after success and failure."""
    ended = await LocalAdapter().execute(sh(f"{LEAVES_FILES} echo $TMPDIR; exit {code}"))
    assert ended.exit_code == code
    assert Path(ended.stdout.strip()).is_relative_to(own_temporary_folder())
    assert attempts() == []


async def test_a_tmpdir_is_gone_after_a_timeout() -> None:
    """An attempt's TMPDIR is gone after its command was stopped at its timeout."""
    with pytest.raises(CommandTimeoutError):
        await LocalAdapter().execute(sh(f"{LEAVES_FILES} sleep 600", timeout_seconds=1))
    assert attempts() == []


async def test_a_tmpdir_is_gone_after_a_cancel() -> None:
    """An attempt's TMPDIR is gone after a cancel, at the start too, and while the command writes to it on SIGTERM."""
    adapter = LocalAdapter(LocalAdapterConfig(grace_seconds=1))
    early = asyncio.create_task(adapter.execute(sh("sleep 600")))
    await asyncio.sleep(0)
    early.cancel()
    late = asyncio.create_task(adapter.execute(sh("trap 'touch $TMPDIR/last' TERM; touch $TMPDIR/file; sleep 600")))
    while not list(own_temporary_folder().glob("*/*/file")):
        await asyncio.sleep(0.02)
    late.cancel()
    for task in (early, late):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert attempts() == []


async def test_attempts_at_the_same_time_share_no_tmpdir() -> None:
    """Each of several attempts at the same time has an empty TMPDIR."""
    adapter = LocalAdapter()
    jobs = [sh("ls -A $TMPDIR; touch $TMPDIR/file; sleep 0.3; echo $TMPDIR") for _ in range(5)]
    printed = [ended.stdout for ended in await asyncio.gather(*map(adapter.execute, jobs))]
    assert len(set(printed)) == len(jobs)
    assert all(len(text.splitlines()) == 1 for text in printed)


async def test_a_command_may_remove_its_tmpdir() -> None:
    """A command that removes or replaces its own TMPDIR harms nothing else."""
    ended = await LocalAdapter().execute(sh("rm -r $TMPDIR; ln -s / $TMPDIR"))
    assert ended.exit_code == 0
    assert attempts() == []
    assert Path("/bin").exists()


async def test_sockets_fit_into_a_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium's socket fits into TMPDIR, however deep the job directory is: its path has at most 107 bytes."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    script = (
        "import os, socket\n"
        "place = os.path.join(os.environ['TMPDIR'], '.org.chromium.Chromium.abcdef')\n"
        "os.mkdir(place)\n"
        "socket.socket(socket.AF_UNIX).bind(os.path.join(place, 'SingletonSocket'))\n"
    )
    ended = await LocalAdapter().execute(WorkerJob(command=sys.executable, args=("-c", script), cwd=str(folder)))
    assert ended.exit_code == 0, ended.stderr


def test_a_tmpdir_of_a_killed_process_goes_with_the_next_adapter(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """After SIGKILL of the process that ran a command, the next adapter removes what it left, not what is in use."""
    script = (
        "import asyncio, sys; from adapters.local import LocalAdapter; from helios.models.worker import WorkerJob\n"
        "words = ('-c', f'touch $TMPDIR/file; sleep 600; : {sys.argv[1]}')\n"
        "asyncio.run(LocalAdapter().execute(WorkerJob(command='sh', args=words)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "mark")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": os.getcwd()},
    )
    until(lambda: list(own_temporary_folder().glob("*/*/file")))
    LocalAdapter()
    assert len(attempts()) == 1, "a folder in use is left alone"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(attempts()) == 1
    LocalAdapter()
    assert attempts() == []
    until(lambda: not processes_of(tmp_path / "mark"))


def test_a_file_among_the_attempts_is_left_alone(tmp_path: Path) -> None:
    """What is not an attempt's folder stays."""
    (own_temporary_folder() / "note").touch()
    assert remove_abandoned(own_temporary_folder()) == 0
    assert [path.name for path in own_temporary_folder().iterdir()] == ["note"]


def test_a_temporary_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A link in the place of the temporary folder, which another user could have made, is refused."""
    Path(tempfile.gettempdir(), f"helios-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(WorkerUnavailableError, match="or a link; expected a folder of user"):
        LocalAdapter()
