"""The guardian: has a process's commands started for it, and ends all of them when that process is gone.

A file of its own that is run by path, in an interpreter without site packages (15 ms): it must import nothing but
a few modules of the standard library. `helios.processes.guardian` is the other side.

    orchestrator ── guardian ─┬─ warden ── command ── its children
                              └─ warden ── command

Each command is started by a warden, a fork of the guardian (1 ms), which lives as long as any descendant of the
command. Both are subreapers of their descendants (prctl(2)): every process that a command starts stays below its
warden, also a process that left its session, cleared its environment and lost its parent. So all processes of one
command are found when it ends, and all of them in the end, without a record of each process or chunk. A warden ends its
descendants when the guardian dies; the guardian kills what a warden leaves that was killed. The guardian leads a
session of its own, so that Ctrl-C does not end it before its commands.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

TERM_SECONDS = 2.0
"""Between SIGTERM and SIGKILL, once the process that ordered the commands is gone."""
POLL_SECONDS = 0.02
HEADER = struct.Struct("!I")
"""Before each message: the length of what follows, in bytes."""
FILES = 2
"""Each order brings the files for the command's standard output and error."""
REPORT_BYTES = 4000
"""The longest report of a warden: a pipe takes up to 4096 bytes in one piece."""
PRCTL = ctypes.CDLL(None).prctl
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_DUMPABLE = 4


class Guardian:
    """Carries out orders from one socket until its other end is closed.

    An order is a JSON object `{"id", "argv", "executable", "env", "cwd"}`, with `"user"` for another user. Answers are
    `{"id", "pid"}` or `{"id", "errno", "strerror"}`, and later, for each that was started, `{"id", "exit"}`. With the
    pid comes the warden's: `{"id", "pid", "warden"}`.
    """

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._wardens: dict[int, int | None] = {}
        """By process id: the id of the order; None once its command has ended."""
        self._reports, self._report = os.pipe()
        self._read_so_far = b""
        self._has_strays = False
        """Whether a warden was killed, and a descendant of its command may be left."""

    def serve(self) -> None:
        """Start commands and report their ends, until the socket is closed; then end everything."""
        exits, wakeup = os.pipe()
        for end in (exits, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # Handled and not ignored: a signal that is ignored here stays ignored in the commands.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(exits, select.POLLIN)
        poll.register(self._reports, select.POLLIN)
        try:
            while True:
                ready = {file for file, _ in poll.poll()}
                if self._reports in ready:
                    self._read_reports()
                if exits in ready:
                    os.read(exits, 4096)
                    self._reap()
                if self._orders.fileno() in ready and not self._take_order():
                    break
        except ConnectionError:
            pass  # the caller has gone while it was sent an answer
        self._end_all()

    def _take_order(self) -> bool:
        header, files, _, _ = socket.recv_fds(self._orders, HEADER.size, FILES, socket.MSG_CMSG_CLOEXEC)
        try:
            if not header:
                return False
            header += self._read(HEADER.size - len(header))
            order = json.loads(self._read(*HEADER.unpack(header)))
            self._start(order, *files)
        finally:
            for file in files:
                os.close(file)
        return True

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not (piece := self._orders.recv(size - len(data))):
                raise ConnectionResetError
            data += piece
        return bytes(data)

    def _start(self, order: dict, stdout: int, stderr: int) -> None:  # type: ignore[type-arg]  # JSON
        own = os.getpid()
        try:
            warden = os.fork()
        except OSError as exc:
            self._tell({"id": order["id"], "errno": exc.errno, "strerror": str(exc)})
            return
        if warden:
            self._wardens[warden] = order["id"]
            return
        try:
            signal.set_wakeup_fd(-1)
            for file in (self._orders.detach(), self._reports):  # whose other ends notice the guardian's death
                os.close(file)
            _ward(order, stdout, stderr, report=self._report, guardian=own)
        finally:
            os._exit(0)

    def _read_reports(self) -> None:
        *lines, self._read_so_far = (self._read_so_far + os.read(self._reports, 65536)).split(b"\n")
        for line in lines:
            report = json.loads(line)
            warden = report.pop("warden")
            order = self._wardens.get(warden)
            if order is None:
                continue  # it was killed meanwhile, and its order answered
            if "pid" in report:
                report["warden"] = warden
            else:
                self._wardens[warden] = None
            self._tell({"id": order, **report})

    def _reap(self) -> None:
        """Reap wardens, and what is left of those that were killed."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_strays = False
                break
            if pid == 0:
                break
            if pid in self._wardens:
                self._read_pending_reports()
                order, code = self._wardens.pop(pid), os.waitstatus_to_exitcode(status)
                self._has_strays |= code < 0
                if order is not None:  # killed before its command's end: only the command itself does so
                    self._tell({"id": order, "exit": code or -signal.SIGKILL})
        if self._has_strays:
            # One that dies here leaves its own children to this process, whose end is the next signal.
            for pid in _children(os.getpid()) - set(self._wardens):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _read_pending_reports(self) -> None:
        while select.select([self._reports], [], [], 0)[0]:
            self._read_reports()

    def _tell(self, answer: dict) -> None:  # type: ignore[type-arg]  # JSON
        body = json.dumps(answer).encode()
        self._orders.sendall(HEADER.pack(len(body)) + body)

    def _end_all(self) -> None:
        self._wardens.clear()
        _end_descendants()


def _ward(order: dict, stdout: int, stderr: int, *, report: int, guardian: int) -> None:  # type: ignore[type-arg]
    """Start a command in a forked process, and wait until all of its descendants are gone.

    Args:
        order: The order.
        stdout: File for the command's output.
        stderr: Likewise, for its errors.
        report: A pipe to the guardian.
        guardian: The guardian's process id.
    """
    own = os.getpid()
    signal.signal(signal.SIGTERM, _raise_guardian_gone)
    PRCTL(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    try:
        if os.getppid() != guardian:
            return  # it has died before the signal was asked for
        try:
            process = subprocess.Popen(
                order["argv"],
                executable=order["executable"],
                env=order["env"],
                cwd=order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                # No file of this process is inheritable (PEP 446).
                close_fds=False,
                **order.get("user", {}),
            )
        except (OSError, ValueError) as exc:
            code = exc.errno if isinstance(exc, OSError) else None
            _report(report, {"warden": own, "errno": code, "strerror": str(exc)[: REPORT_BYTES // 8]})
            return
        for file in (stdout, stderr):
            os.close(file)
        _report(report, {"warden": own, "pid": process.pid})
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                _report(report, {"warden": own, "exit": process.returncode})
    except _GuardianGoneError:
        signal.signal(signal.SIGTERM, lambda *_: None)
        _end_descendants()


class _GuardianGoneError(Exception):
    """The guardian has died."""


def _raise_guardian_gone(*_: object) -> None:
    raise _GuardianGoneError


def _report(pipe: int, report: dict) -> None:  # type: ignore[type-arg]  # JSON
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, json.dumps(report).encode() + b"\n")


def _end_descendants() -> None:
    """Ask all descendants of this process to terminate, and kill what is left after a while."""
    deadline = time.monotonic() + TERM_SECONDS
    asked: set[int] = set()
    while _reap_all():
        late = time.monotonic() >= deadline
        found = _descendants(os.getpid())
        for pid in found if late else found - asked:
            try:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            except OSError:
                continue  # it's gone, or another user's
        asked |= found
        time.sleep(POLL_SECONDS)


def _reap_all() -> bool:
    """Reap ended children; return whether a child is left, which a subreaper has as long as any descendant lives."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _parents() -> dict[int, int]:
    """Of each process, its parent."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    return parents


def _children(parent: int) -> set[int]:
    return {pid for pid, above in _parents().items() if above == parent}


def _descendants(ancestor: int) -> set[int]:
    parents, found, frontier = _parents(), set[int](), {ancestor}
    while frontier := {pid for pid, parent in parents.items() if parent in frontier} - found:
        found |= frontier
    return found


def main() -> None:
    """Serve the socket whose file descriptor is the first argument."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(orders.fileno(), False)
    PRCTL(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    PRCTL(PR_SET_DUMPABLE, 0, 0, 0, 0)  # orders have the variables of all commands
    Guardian(orders).serve()


if __name__ == "__main__":
    main()
