"""Commands can't read what their worker knows: its environment, its guardian's, and its memory."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.local import LocalAdapter
from helios.errors import RequestError
from helios.models.worker import WorkerJob
from helios.processes.command import run_command
from helios.processes.command_user import CommandUser
from testbed.jobs import make_job, write_job
from testbed.video import Clip, write_clip
from tests.command import until

ROOT = Path(__file__).parents[3]
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""Python that every user can run; the environment of the tests may be in the home of one."""
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = [
    "setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups", str(SYSTEM_PYTHON),
]  # fmt: skip
as_another_user = pytest.mark.skipif(
    os.getuid() != 0 or not SYSTEM_PYTHON.exists() or shutil.which("setpriv") is None,
    reason="needs the right to become another user, and Debian's python3",
)
SPY = """
import os, json
found, pid = {}, os.getppid()
while pid > 1:
    got = {}
    for name in ("environ", "mem"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                got[name] = name == "mem" or b"S3CRET" in file.read()
        except OSError:
            got[name] = None
    status = open(f"/proc/{pid}/stat").read()
    found[status.split("(")[1].split(")")[0] + f"-{len(found)}"] = got
    pid = int(status.rpartition(")")[2].split()[1])
print(json.dumps(found))
"""
"""Reads the environment of every ancestor, and opens its memory."""
WORKER = """
import asyncio, os, sys
import psutil
from helios.processes.command import run_command
from helios.processes.own_memory import hide_memory
from helios.processes.tree import owner_mark, end_commands_of
if sys.argv[1] == "hidden":
    hide_memory()
psutil.Process().create_time(), psutil.Process().status(), psutil.Process().children(recursive=True)
os.readlink("/proc/self/fd/1"), os.readlink("/proc/self/ns/pid")
done = asyncio.run(run_command([sys.executable, "-c", sys.argv[2]]))
assert asyncio.run(end_commands_of(owner_mark())) == 0
print(done.stdout, done.stderr)
"""


def _spied(kind: str, *, folder: Path) -> list[dict[str, bool | None]]:
    """What a command sees of its warden, its guardian and its worker, which another user than root runs."""
    shutil.copytree(ROOT / "helios", folder / "helios", dirs_exist_ok=True)
    path = f"{folder}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [*AS_NOBODY, "-c", WORKER, kind, SPY], capture_output=True, text=True, check=True, timeout=60, cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PREFECT_API_AUTH_STRING": "S3CRET"},
    )  # fmt: skip
    return list(json.loads(done.stdout).values())[:3]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@as_another_user
def test_a_command_reads_nothing_of_its_worker(open_folder: Path) -> None:
    """Neither the worker's environment and memory nor its guardian's can be read by a command of the same user.

    Without the protection the same command reads the worker's credential, which proves that the attack works.
    """
    *guardians, worker = _spied("open", folder=open_folder)
    assert worker == {"environ": True, "mem": True}
    assert guardians == [{"environ": None, "mem": None}] * 2
    assert _spied("hidden", folder=open_folder) == [{"environ": None, "mem": None}] * 3


PROGRAMS = {
    "a worker": ["-m", "helios.worker", "serve", "--host", "127.0.0.1", "--port", "0"],
    "a command": ["-c", "from cli.main import main; main()", "validate", "-"],
    "a server": ["-m", "farm.server.embedded", "0"],
}


@as_another_user
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_holds_credentials_is_hidden(open_folder: Path, program: str) -> None:
    """The files in /proc of whatever holds credentials belong to root, although another user runs it."""
    for package in ("adapters", "cli", "farm", "flows", "helios", "tasks"):
        shutil.copytree(ROOT / package, open_folder / package)
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PREFECT_SERVER_API_AUTH_STRING": "a:b"}
    with (
        socket.socket() as listener,
        subprocess.Popen(
            [*AS_NOBODY, *PROGRAMS[program]], cwd="/", stderr=subprocess.DEVNULL,
            stdin=listener.fileno() if program == "a server" else subprocess.PIPE,
            env={**env, "PYTHONPATH": f"{open_folder}:{sysconfig.get_path('purelib')}"},
        ) as process,
    ):  # fmt: skip
        environment = Path("/proc", str(process.pid), "environ")
        try:
            until(lambda: process.poll() is not None or environment.parent.stat().st_uid == NOBODY.pw_uid)
            until(lambda: process.poll() is not None or environment.stat().st_uid == 0, seconds=60)
            assert process.poll() is None
        finally:
            process.kill()


@as_another_user
async def test_an_adapter_with_commands_of_another_user(monkeypatch: pytest.MonkeyPatch, open_folder: Path) -> None:
    """A command of another user has a TMPDIR and a home that it can use."""
    monkeypatch.setenv("HELIOS_COMMAND_USER", "nobody")
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    script = "id -u; echo $USER $HOME; touch $TMPDIR/file && echo wrote"
    done = await LocalAdapter().execute(WorkerJob(command="sh", args=("-c", script), timeout_seconds=60))
    assert done.stdout.split() == [str(NOBODY.pw_uid), "nobody", NOBODY.pw_dir, "wrote"]


@as_another_user
def test_a_worker_with_commands_of_another_user(open_folder: Path) -> None:
    """A worker renders a chunk whose command is another user's: in its workspace, and with its input files."""
    write_clip(open_folder / "clip.mp4", Clip(), start=0, count=5)
    job = make_job([5])
    job["chunks"][0]["command"] = f"sh -c 'id -u > who; cp {open_folder}/clip.mp4 \"$0\"; cat who >&2' 'chunk 0.mp4'"
    path = write_job(open_folder, job)
    (open_folder / "worker").mkdir()
    words = [sys.executable, "-m", "helios.worker", "chunk", str(path), "0"]
    env = {**os.environ, "HELIOS_COMMAND_USER": "nobody", "HELIOS_FOLDER": str(open_folder / "worker")}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    answer = json.loads(done.stdout)
    assert (answer["exitCode"], answer["stderr"]) == (0, f"{NOBODY.pw_uid}\n"), done.stdout
    assert (open_folder / "chunk 0.mp4").stat().st_uid == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to become another user")
async def test_commands_of_another_user(open_folder: Path) -> None:
    """A worker of root runs commands as another user, who writes to what was given, and reads nothing of root's."""
    user = CommandUser.from_environment({"HELIOS_COMMAND_USER": "nobody"})
    assert user is not None
    (open_folder / "given").mkdir()
    user.give(open_folder / "given")
    (open_folder / "kept").write_text("mine")
    script = (
        "id -u; id -G; touch given/file && echo wrote; touch elsewhere || echo refused; echo x > kept || echo refused; "
        "cat /proc/$PPID/environ || echo refused; sleep 600 & setsid sleep 600 & exit 0"
    )
    done = await run_command(["sh", "-c", script], cwd=open_folder, user=user, grace_seconds=1)
    assert done.stdout.split() == [
        str(NOBODY.pw_uid), str(NOBODY.pw_gid), "wrote", "refused", "refused", "refused",
    ]  # fmt: skip
    assert (open_folder / "kept").read_text() == "mine"
    left = subprocess.run(["pgrep", "-u", "nobody", "sleep"], capture_output=True, check=False).stdout
    assert left == b""  # root ends what another user's commands leave


@pytest.mark.parametrize(
    ("name", "says"), [("no-such-user", "there is no such user"), (pwd.getpwuid(os.getuid()).pw_name, "name another")]
)
def test_a_user_that_can_t_be_had(name: str, says: str) -> None:
    """A user that is not there, or that is the worker's own, is refused."""
    with pytest.raises(RequestError, match=says):
        CommandUser.from_environment({"HELIOS_COMMAND_USER": name})
    assert CommandUser.from_environment({}) is None
