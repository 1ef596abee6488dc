"""Own every process that a command starts: find them all, and end them.

A command's process is a child of its warden (`helios.processes.guardian_process`), below which every descendant stays,
whatever it does. It also leads a session of its own, and has an environment variable that descendants inherit: by these
they are found if the warden was killed.
"""

import asyncio
import itertools
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

MARKER = "HELIOS_PROCESS_TREE"
"""Environment variable that every process of a tree carries."""
KILL_TIMEOUT_SECONDS = 10.0
"""How long to wait for killed processes to go; one in uninterruptible I/O may outlast it."""
POLL_SECONDS = 0.02


PROC = os.path.exists("/proc/self/environ")
_PROCESS = uuid.uuid4().hex
_COUNTER = itertools.count()


def owner_mark() -> str:
    """The prefix of the marks of all trees of this process, and of no other process."""
    return f"{_PROCESS}-{os.getpid()}-"


async def end_commands_of(owner: str) -> int:
    """Kill every process that a dead process has left.

    Args:
        owner: Its `owner_mark`.

    Returns:
        How many there were.
    """
    killed: set[int] = set()
    deadline = asyncio.get_running_loop().time() + KILL_TIMEOUT_SECONDS
    while found := [pid for pid in psutil.pids() if pid != os.getpid() and _carries(pid, MARKER, owner, whole=False)]:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        if asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    return len(killed)


@dataclass(frozen=True)
class Started:
    """A command that was started."""

    pid: int
    """Its process id."""
    warden: int
    """Process id of its parent, which lives as long as any descendant of the command does."""


class ProcessTree:
    """The processes that one command started, itself included."""

    def __init__(self) -> None:
        self.mark = f"{owner_mark()}{next(_COUNTER)}"
        """Value of `MARKER` in the environment of every member."""
        self.leader: int | None = None
        """Process id of the command, which is also its group's and session's id."""
        self._warden: psutil.Process | None = None

    def own(self, started: Started) -> None:
        """Take over the processes of a command that was started."""
        self.leader = started.pid
        with suppress(psutil.Error):  # it has ended
            self._warden = psutil.Process(started.warden)

    @property
    def environment(self) -> dict[str, str]:
        """What the command's environment must hold."""
        return {MARKER: self.mark}

    def may_have_members(self) -> bool:
        """Whether a process of the tree may be left once its leader was reaped; a cheap check.

        The kernel knows whether the group exists. Processes that left it were started after the leader, so only
        processes with a higher process id are checked.
        """
        if self.leader is None:
            return False
        return self._has_ward() or _group_exists(self.leader) or any(self._marked(after=self.leader))

    def members(self) -> set[psutil.Process]:
        """Every living process of the tree."""
        found = set(self._marked(after=0))
        for pid in psutil.pids() if self.leader is not None else ():
            try:
                if os.getpgid(pid) == self.leader:
                    found.add(psutil.Process(pid))
            except (OSError, psutil.Error):
                continue
        for process in [*found, *([self._warden] if self._warden else [])]:
            try:
                found.update(process.children(recursive=True))
            except psutil.Error:
                continue
        return {process for process in found if _is_alive(process)}

    async def end(self, *, grace_seconds: float) -> None:
        """Ask every process to terminate, and kill what is left after the grace period."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        asked: set[psutil.Process] = set()
        while members := self.members():
            if loop.time() >= deadline:
                break
            _signal(members - asked, signal.SIGTERM)
            asked |= members
            await asyncio.sleep(POLL_SECONDS)
        deadline = loop.time() + KILL_TIMEOUT_SECONDS
        while (members := self.members()) and loop.time() < deadline:
            _signal(members, signal.SIGKILL)
            await asyncio.sleep(POLL_SECONDS)

    def _has_ward(self) -> bool:
        """Whether the warden has a child: it goes when it has none."""
        if self._warden is None:
            return False
        try:
            # What psutil finds by looking at every process.
            with open(f"/proc/{self._warden.pid}/task/{self._warden.pid}/children", "rb") as file:
                return bool(file.read().strip()) and self._warden.is_running()
        except FileNotFoundError:
            return _is_alive(self._warden) and bool(self._warden.children())
        except (psutil.Error, OSError):
            return False

    def _marked(self, *, after: int) -> Iterator[psutil.Process]:
        for pid in psutil.pids():
            if pid <= after or pid == os.getpid() or not _carries(pid, MARKER, self.mark):
                continue
            try:
                process = psutil.Process(pid)
            except psutil.Error:
                continue
            if _is_alive(process):
                yield process


def carriers(variable: str, value: str) -> Iterator[int]:
    """Process ids of all processes but this one that have a variable with this value."""
    return (pid for pid in psutil.pids() if pid != os.getpid() and _carries(pid, variable, value))


def _carries(pid: int, variable: str, value: str, *, whole: bool = True) -> bool:
    """Whether a process has a variable with this value in its environment, or a value that begins so.

    Another user's environment, which can't be read, is not ours.
    """
    ending = b"\0" if whole else b""
    try:
        if PROC:
            # What psutil does, without its look at the process's start time: this runs after every command.
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"{variable}={value}".encode() + ending in file.read()
        found = psutil.Process(pid).environ().get(variable, "")
        return bool(found == value if whole else found.startswith(value))
    except (psutil.Error, OSError):
        return False


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.Error:
        return False


def _signal(processes: set[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except (psutil.Error, OSError):
            continue
