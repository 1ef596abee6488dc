"""Read strangers' files where it can be ended: in processes of their own, with bounds of time and memory.

`helios.processes.reader_process` is what runs in them.
"""

import atexit
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from helios.errors import OutputError, WorkerUnavailableError
from helios.low_priority import NICE, run_low
from helios.media.bounds import Bounds
from helios.processes import reader_process
from helios.processes.environment import clean_environment
from helios.processes.reader_process import HEADER, LENGTH, START

Result = TypeVar("Result")
MODULES = ("helios.media.verify",)
"""What the readers import beforehand; an audit imports numpy, when there is one."""
LOOK_SECONDS = 0.05
"""Between two looks at whether a reader is to stop."""
START_SECONDS = 120.0
"""The first one imports FFmpeg's libraries first."""
READERS_TRIED = 3
"""A reader that ends without an answer is replaced: a command of the same user may have killed it."""
STOP_SECONDS = 5.0
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Numpy's: forks have none of them."""


def prepare_readers() -> None:
    """Start what readers need, so that it is there when the first output is.

    Raises:
        WorkerUnavailableError: It can't be started.
    """
    _readers.start()


async def run_apart(
    function: Callable[..., Result],
    *args: Any,
    bounds: Bounds,
    name: str | None = None,
    lowered: int = NICE,
    **kwargs: Any,
) -> Result:
    """Call a function in a process of its own, which is killed when this is cancelled.

    Args:
        function: Of a module's own; what it takes and gives can be pickled.
        args: Handed over; the first is the file that it reads.
        bounds: What it may take.
        name: How errors call the file; by default by its name.
        lowered: How much lower than this process's its priority is, as nice(1) counts.
        kwargs: Handed over.

    Raises:
        asyncio.CancelledError: This was cancelled, and the process is gone.
        OutputError: Reading the file takes longer, or more memory.
        WorkerUnavailableError: There is no such process on this machine.
    """
    order, name = pickle.dumps((function, args, kwargs)), name or getattr(args[0], "name", str(args[0]))
    deadline = time.monotonic() + bounds.seconds
    for _ in range(READERS_TRIED):
        _readers.start()  # here, and not in the thread, whose low priority it would have
        try:
            went_well, found = await run_low(_ask_reader, order, name, bounds, lowered, deadline)
        except OSError:  # the end of its socket
            continue
        if isinstance(found, MemoryError):
            break
        if not went_well:
            raise found
        answer: Result = found
        return answer
    most = f"{bounds.memory_bytes // 2**20} MiB"
    raise OutputError(f"{name} can't be read: its reader died, or would take more than {most} of memory")


def _ask_reader(
    order: bytes, name: str, bounds: Bounds, lowered: int, deadline: float, *, stop: threading.Event
) -> tuple[bool, Any]:
    """What a reader answers: whether it went well, and what it found or raised; OSError where it died."""
    reader = _readers.take(lowered)
    try:
        reader.send(order, bounds.memory_bytes, stop=stop)
        return reader.answer(deadline=deadline, stop=stop)
    except TimeoutError:
        raise OutputError(f"{name} can't be read to its end within {bounds.seconds:.0f} s: it was given up") from None
    except InterruptedError:
        raise WorkerUnavailableError(f"Reading {name} was stopped") from None
    finally:
        _readers.give_back(reader)


class _Reader:
    """One process that reads."""

    def __init__(self, end: socket.socket, lowered: int) -> None:
        self.lowered = lowered
        """How much its priority is lowered."""
        self._socket = end
        self._pid: int | None = None
        self.is_idle = False
        """Whether it takes orders."""

    def send(self, order: bytes, memory_bytes: int, *, stop: threading.Event) -> None:
        """Give it an order, once it has started.

        Raises:
            TimeoutError, InterruptedError: Its start takes too long, or it is to stop.
            OSError: It is gone.
        """
        self.is_idle = False
        if self._pid is None:
            data = self._receive(START.size, deadline=time.monotonic() + START_SECONDS, stop=stop)
            self._pid = START.unpack(data)[0]
        self._socket.sendall(HEADER.pack(len(order), memory_bytes))
        self._socket.sendall(order)

    def answer(self, *, deadline: float, stop: threading.Event) -> tuple[bool, Any]:
        """Wait for its answer.

        Raises:
            TimeoutError, InterruptedError: It takes too long, or is to stop.
            OSError: It is gone.
        """
        length = LENGTH.unpack(self._receive(LENGTH.size, deadline=deadline, stop=stop))[0]
        answer: tuple[bool, Any] = pickle.loads(self._receive(length, deadline=deadline, stop=stop))  # noqa: S301
        self.is_idle = True
        return answer

    def end(self) -> None:
        """Kill it, and wait for its end: what it was writing is not written any more."""
        with self._socket, suppress(OSError):
            if self._pid is not None:  # else it ends when it looks for an order
                os.kill(self._pid, signal.SIGKILL)
                self._socket.settimeout(STOP_SECONDS)
                while self._socket.recv(LENGTH.size):
                    pass

    def close(self) -> None:
        """Leave it to itself: it ends."""
        self._socket.close()

    def _receive(self, size: int, *, deadline: float, stop: threading.Event) -> bytes:
        data = bytearray()
        while len(data) < size:
            if stop.is_set():
                raise InterruptedError
            if time.monotonic() > deadline:
                raise TimeoutError
            if select.select([self._socket], [], [], LOOK_SECONDS)[0]:
                if not (piece := self._socket.recv(size - len(data))):
                    raise ConnectionResetError
                data += piece
        return bytes(data)


class _Readers:
    """The readers that wait for orders, and the process that they are forks of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start the process, if there is none.

        Raises:
            WorkerUnavailableError: It can't be started.
        """
        with self._lock:
            try:
                self._started()
            except OSError as exc:
                raise WorkerUnavailableError(f"No process can be started that reads outputs: {exc}") from exc

    def take(self, lowered: int) -> _Reader:
        """A reader of a priority.

        Raises:
            WorkerUnavailableError: None can be started.
        """
        with self._lock:
            for reader in reversed(self._idle):  # the last one used is the warmest
                if reader.lowered == lowered:
                    self._idle.remove(reader)
                    return reader
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    socket.send_fds(self._started(), [START.pack(lowered)], [theirs.fileno()])
                return _Reader(ours, lowered)
            except OSError as exc:
                ours.close()
                raise WorkerUnavailableError(f"No process can be started that reads outputs: {exc}") from exc

    def give_back(self, reader: _Reader) -> None:
        """Take a reader back; one that has not answered is ended."""
        if not reader.is_idle:
            reader.end()
            return
        with self._lock:
            self._idle.append(reader)

    def close(self) -> None:
        """End them all."""
        self._leave()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)

    def forget(self) -> None:
        """In a forked process, leave them to the parent."""
        self._leave()
        if self._process is not None:
            self._process.returncode = 0  # it is not this process's child

    def _leave(self) -> None:
        """Close this process's ends of their sockets: they end when no process has them any more."""
        for reader in self._idle:
            reader.close()
        if self._socket is not None:
            self._socket.close()

    def _started(self) -> socket.socket:
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", reader_process.__name__, str(theirs.fileno()), *MODULES],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is this process's
                env={**clean_environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **ONE_THREAD},
            )
        return self._socket


_readers = _Readers()


def _forget() -> None:
    global _readers
    _readers.forget()
    _readers = _Readers()


atexit.register(lambda: _readers.close())
os.register_at_fork(after_in_child=_forget)
