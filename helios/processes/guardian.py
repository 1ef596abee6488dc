"""Start commands through a guardian: a small process that ends them all when this one is gone, however it ended.

It also makes the start of a command cheaper: a process as large as the flow's takes a millisecond to start another.
`helios.processes.guardian_process` is what runs in it.
"""

import asyncio
import atexit
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helios.errors import WorkerUnavailableError
from helios.processes import guardian_process
from helios.processes.attempt_folder import VARIABLE as FOLDER
from helios.processes.command_user import CommandUser
from helios.processes.guardian_process import HEADER
from helios.processes.tree import MARKER, Started

STOP_SECONDS = 10.0
"""How long this process waits at its end for the guardian, which ends the commands that are left."""
VARIABLES = frozenset({"PATH", "LANG", "LD_LIBRARY_PATH", MARKER, FOLDER})
"""What the guardian gets of this process's environment: what an interpreter needs, and the marks by which processes
that run for an attempt are found. It is the parent of every command, and has no credential."""


class StartRefusedError(OSError):
    """The command could not be started; errno says why, as far as the system did."""


@dataclass
class _Order:
    """A command that was ordered, in the event loop that ordered it."""

    loop: asyncio.AbstractEventLoop
    started: asyncio.Future[Started]
    on_exit: Callable[[int | None], None]

    def answer(self, answer: Mapping[str, Any]) -> None:
        if "exit" in answer and not self.started.done():
            self.lose("A command's warden was killed before it started the command")
        elif "exit" in answer:
            self.on_exit(answer["exit"])
        elif self.started.done():
            return
        elif "pid" in answer:
            self.started.set_result(Started(answer["pid"], answer["warden"]))
        else:
            self.started.set_exception(StartRefusedError(answer["errno"], answer["strerror"]))

    def lose(self, message: str) -> None:
        if not self.started.done():
            self.started.set_exception(WorkerUnavailableError(message))
        else:
            self.on_exit(None)


class GuardianClient:
    """This process's connection to its guardian. Use `guardian()`: all event loops share one guardian."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-I", "-S", guardian_process.__file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                program, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
                env={name: value for name, value in os.environ.items() if name in VARIABLES},
            )  # fmt: skip
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._orders: dict[int, _Order] = {}
        self.is_alive = True
        """Whether it takes orders."""
        threading.Thread(target=self._listen, name="guardian", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def start(
        self,
        argv: Sequence[str],
        *,
        executable: str,
        env: Mapping[str, str],
        cwd: str | Path | None,
        output: tuple[int, int],
        user: CommandUser | None = None,
        on_exit: Callable[[int | None], None],
    ) -> Started:
        """Start a command, in a session of its own.

        Args:
            argv: Program and arguments.
            executable: The program's path.
            env: Its whole environment.
            cwd: Its working directory.
            output: Files for its standard output and error; the caller's stay open.
            user: As whom it runs; None for this process's user.
            on_exit: Called in the event loop with its exit code; with None if the guardian died before it.

        Returns:
            Its process ids.

        Raises:
            StartRefusedError: The system did not start it.
            WorkerUnavailableError: The guardian died; whether the command runs is not known.
        """
        loop = asyncio.get_running_loop()
        order = _Order(loop, loop.create_future(), on_exit)
        words: dict[str, Any] = {
            "argv": list(argv),
            "executable": executable,
            "env": dict(env),
            "cwd": str(cwd) if cwd else None,
        }
        if user is not None:
            words["user"] = {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
        with self._lock:
            number = next(self._ids)
            body = json.dumps({"id": number, **words}).encode()
            self._orders[number] = order
            try:
                # The message is small and read at once, so that another thread is not worth its cost.
                socket.send_fds(self._socket, [HEADER.pack(len(body))], output)
                self._socket.sendall(body)
            except OSError as exc:
                del self._orders[number]
                self.is_alive = False
                raise WorkerUnavailableError(f"The guardian of this process's commands is gone: {exc}") from exc
        return await order.started

    def close(self) -> None:
        """Let the guardian end every command that is left, and then itself."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)

    def forget(self) -> None:
        """In a forked process, leave the guardian to the parent."""
        self._socket.close()
        self._process.returncode = 0  # the guardian is not this process's child

    def _listen(self) -> None:
        with suppress(OSError):
            while header := self._socket.recv(HEADER.size, socket.MSG_WAITALL):
                body = self._socket.recv(HEADER.unpack(header)[0], socket.MSG_WAITALL)
                answer = json.loads(body)
                number = answer["id"]
                with self._lock:
                    order = self._orders[number] if "pid" in answer else self._orders.pop(number)
                _in_loop(order, order.answer, answer)
        with self._lock:
            self.is_alive = False
            lost, self._orders = self._orders, {}
        self._socket.close()
        self._process.wait()
        for order in lost.values():
            _in_loop(order, order.lose, f"The guardian of this process's commands (process {self.pid}) died")


def _in_loop(order: _Order, call: Callable[[Any], None], what: object) -> None:
    with suppress(RuntimeError):  # the loop is closed, and the caller has gone
        order.loop.call_soon_threadsafe(call, what)


_lock = threading.Lock()
_guardian: GuardianClient | None = None


def guardian() -> GuardianClient:
    """This process's guardian, started if there is none alive.

    Raises:
        OSError: It could not be started.
    """
    global _guardian
    with _lock:
        if _guardian is None or not _guardian.is_alive:
            _guardian = GuardianClient()
        return _guardian


def _close() -> None:
    if _guardian is not None and _guardian.is_alive:
        _guardian.close()


def _forget() -> None:
    global _guardian, _lock
    _lock = threading.Lock()
    if _guardian is not None:
        _guardian.forget()
        _guardian = None


atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
