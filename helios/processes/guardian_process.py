"""The guardian: starts a process's commands for it, and ends all of them when that process is gone.

A file of its own that is run by path, in an interpreter without site packages (15 ms): it must import nothing but
a few modules of the standard library. `helios.processes.guardian` is the other side.

It is the subreaper of its descendants (prctl(2)): every process that they start stays below it, also a process that
left its session, cleared its environment and lost its parent. So it finds all of them in the end without a record of
each process or chunk. It leads a session of its own, so that Ctrl-C does not end it before its commands.
"""

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
PR_SET_CHILD_SUBREAPER = 36


class Guardian:
    """Carries out orders from one socket until its other end is closed.

    An order is a JSON object `{"id", "argv", "executable", "env", "cwd"}`. Answers are `{"id", "pid"}` or
    `{"id", "errno", "strerror"}`, and later, for each that was started, `{"id", "exit"}`.
    """

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._running: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        """By process id: the order's id. The object is kept, or Python would wait for the process by itself."""

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
        try:
            while True:
                ready = {file for file, _ in poll.poll()}
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
            )
        except (OSError, ValueError) as exc:
            code = exc.errno if isinstance(exc, OSError) else None
            self._tell({"id": order["id"], "errno": code, "strerror": str(exc)})
            return
        self._running[process.pid] = (order["id"], process)
        self._tell({"id": order["id"], "pid": process.pid})

    def _reap(self) -> None:
        """Reap every process that ended, also processes that became children of this one when their parents died."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                order, process = self._running.pop(pid)
                process.returncode = os.waitstatus_to_exitcode(status)
                self._tell({"id": order, "exit": process.returncode})

    def _tell(self, answer: dict) -> None:  # type: ignore[type-arg]  # JSON
        body = json.dumps(answer).encode()
        self._orders.sendall(HEADER.pack(len(body)) + body)

    def _end_all(self) -> None:
        """Ask all descendants to terminate, and kill what is left after a while."""
        self._running.clear()
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


def _descendants(ancestor: int) -> set[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found: set[int] = set()
    frontier = {ancestor}
    while frontier := {pid for pid, parent in parents.items() if parent in frontier} - found:
        found |= frontier
    return found


def main() -> None:
    """Serve the socket whose file descriptor is the first argument."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(orders.fileno(), False)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Guardian(orders).serve()


if __name__ == "__main__":
    main()
