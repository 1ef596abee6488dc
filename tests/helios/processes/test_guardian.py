"""No command outlives the process that ordered it, even if that process or the guardian is killed."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from helios.errors import WorkerUnavailableError
from helios.processes.command import run_command
from helios.processes.guardian import guardian
from tests.command import until
from tests.conftest import ProcessesOf

ORDERS = """
import asyncio, sys
from helios.processes.command import run_command

async def main():
    await asyncio.gather(*(run_command([sys.executable, "-c", sys.argv[1], sys.argv[2]]) for _ in range(3)))

asyncio.run(main())
"""
# A command with a child in its group, a descendant that ignores SIGTERM, and a descendant with its own session, no
# environment and a dead parent.
FAMILY = """
import os, signal, subprocess, sys, time
mark = sys.argv[1]
sleep = [sys.executable, "-c", "import time; time.sleep(600)", mark]
deaf = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)", mark]
subprocess.Popen(sleep)
subprocess.Popen(deaf, start_new_session=True)
if os.fork() == 0:
    subprocess.Popen(sleep, start_new_session=True, env={})
    os._exit(0)
os.wait()
time.sleep(600)
"""
FAMILIES = 3


@pytest.fixture
def orders(tmp_path: Path, processes_of: ProcessesOf) -> "subprocess.Popen[bytes]":
    """A process that runs three families of commands."""
    process = subprocess.Popen([sys.executable, "-c", ORDERS, FAMILY, str(tmp_path)], stderr=subprocess.PIPE)
    until(lambda: _are_complete(processes_of(tmp_path)))
    return process


def _are_complete(processes: list[psutil.Process]) -> bool:
    """Whether all processes run their own programs: a process that was just forked still has its parent's program."""
    programs = []
    for process in processes:
        try:
            programs.append(process.cmdline()[2])
        except (psutil.Error, IndexError):
            return False
    kinds = Counter("deaf" if "SIG_IGN" in one and "Popen" not in one else one.strip()[:11] for one in programs)
    one_family = {"deaf": 1, "import os, ": 1, "import time": 2}
    return kinds == {"import asyn": 1, **{kind: count * FAMILIES for kind, count in one_family.items()}}


def test_sigkill_of_the_process_ends_all_its_commands(
    orders: "subprocess.Popen[bytes]", tmp_path: Path, processes_of: ProcessesOf
) -> None:
    """SIGKILL of a process ends its commands, also other sessions, orphans, cleared environments and deaf processes."""
    orders.kill()
    orders.communicate()
    until(lambda: not processes_of(tmp_path))


def test_sigkill_of_the_guardian_ends_its_commands_too(
    orders: "subprocess.Popen[bytes]", tmp_path: Path, processes_of: ProcessesOf
) -> None:
    """When the guardian is killed, the process that ordered the commands ends them, and reports it."""
    _guardian_of(orders.pid).kill()
    _, said = orders.communicate(timeout=120)
    assert orders.returncode == 1
    assert b"WorkerUnavailableError" in said
    until(lambda: not processes_of(tmp_path))  # also those that have lost both their environment and their parent


# Starts a daemon that has its own session, no environment and a dead parent, and that holds none of its files.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], {})
    os._exit(0)
os.wait()
"""
UNTIL_IT_RUNS = """
while not any(b"\\0import time; time.sleep(600)\\0" in open(f"/proc/{pid}/cmdline", "rb").read()
              for pid in open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()):
    time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("last_words", "exit_code"),
    [("", 0), ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)", -9)],
)
async def test_a_daemon_without_an_environment_ends_with_its_command(
    tmp_path: Path, processes_of: ProcessesOf, last_words: str, exit_code: int
) -> None:
    """A daemon that has cleared its environment is gone when its command has ended, also one that killed its warden.

    Nothing happens to the processes of another command.
    """
    other = asyncio.create_task(run_command([sys.executable, "-c", "import time; time.sleep(700)", str(tmp_path)]))
    ended = await run_command([sys.executable, "-c", DAEMON + UNTIL_IT_RUNS + last_words, str(tmp_path)])
    assert ended.exit_code == exit_code
    await asyncio.to_thread(until, lambda: len(processes_of(tmp_path)) == 1)
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])


async def test_after_the_death_of_a_guardian_there_is_another(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """When the guardian dies, the running command fails as the environment's fault; another guardian runs the next."""
    running = asyncio.create_task(run_command([sys.executable, "-c", "import time; time.sleep(600)", str(tmp_path)]))
    await asyncio.to_thread(until, lambda: processes_of(tmp_path))
    first = guardian().pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(WorkerUnavailableError, match="died"):
        await running
    assert processes_of(tmp_path) == []
    assert (await run_command(["true"])).exit_code == 0
    assert guardian().pid != first


async def test_a_process_that_was_forked_has_a_guardian_of_its_own() -> None:
    """A forked process does not use its parent's guardian, which would then outlive the parent."""
    await run_command(["true"])
    before, (reader, writer) = guardian().pid, os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writer, str(guardian().pid).encode())
        finally:
            os._exit(0)  # in any case, so that the child does not run the tests a second time
    os.close(writer)
    with os.fdopen(reader) as answers:
        assert int(answers.read()) not in (before, 0)
    os.waitpid(child, 0)
    assert guardian().pid == before


def test_nothing_is_left_at_a_process_s_end(tmp_path: Path) -> None:
    """A process waits at its end for its guardian, which ends without printing anything."""
    script = "import asyncio; from helios.processes.command import run_command; asyncio.run(run_command(['true']))\n"
    script += "from helios.processes.guardian import guardian; print(guardian().pid)"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert not psutil.pid_exists(int(done.stdout))
    # The development mode prints these lines on a busy machine.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert said == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs the right to make a container")
def test_as_the_first_process_of_a_container(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """With process id 1 a process leaves no zombie while it lives, and its commands end with it."""
    script = """
import asyncio, os, sys, time, psutil
from helios.processes.command import run_command
assert os.getpid() == 1
daemon = "import os, subprocess, sys; subprocess.Popen(['sleep', '0.2'], start_new_session=True, env={})"

async def main():
    await run_command([sys.executable, "-c", daemon])
    deadline = time.monotonic() + 60
    # One that has ended, and that nobody has waited for, has its name still.
    while left := [p.name() for p in psutil.process_iter() if p.name() == "sleep"]:
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)
    await run_command([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])

asyncio.run(main())
"""
    container = subprocess.Popen(
        ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", script, str(tmp_path / "mark")]
    )
    command = ["-c", "import time; time.sleep(600)", str(tmp_path / "mark")]
    until(lambda: container.poll() is not None or any(_words(one)[1:] == command for one in processes_of(tmp_path)))
    assert container.poll() is None
    psutil.Process(container.pid).children()[0].kill()
    container.wait()
    until(lambda: not processes_of(tmp_path))


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_without_privileges(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Commands end with their process also for a user without any privileges."""
    plain_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*plain_user, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a user namespace")
    process = subprocess.Popen([*plain_user, sys.executable, "-c", ORDERS, FAMILY, str(tmp_path)])
    # unshare(1) replaces itself by the process.
    until(lambda: _are_complete(processes_of(tmp_path)))
    assert (Path("/proc") / str(process.pid) / "status").read_text().count("CapEff:\t0000000000000000") == 1
    process.kill()
    process.wait()
    until(lambda: not processes_of(tmp_path))


def test_a_guardian_that_is_stopped_for_a_while(tmp_path: Path) -> None:
    """Commands that are ordered from a stopped guardian start when it goes on."""
    script = """
import asyncio, os, signal
from helios.processes.guardian import guardian
from helios.processes.command import run_command

async def main():
    await run_command(["true"])
    os.kill(guardian().pid, signal.SIGSTOP)
    asyncio.get_running_loop().call_later(0.5, os.kill, guardian().pid, signal.SIGCONT)
    print(sum([(await one).exit_code for one in [asyncio.create_task(run_command(["true"])) for _ in range(20)]]))

asyncio.run(main())
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "0\n"
    assert time.monotonic() - started >= 0.5


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # the process has ended since it was listed
        return []


def _guardian_of(pid: int) -> psutil.Process:
    (found,) = [child for child in psutil.Process(pid).children() if "guardian_process" in " ".join(child.cmdline())]
    return found
