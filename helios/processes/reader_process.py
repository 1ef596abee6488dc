"""Read files of strangers for another process: in forks of this one, bounded in memory, that can be killed.

A file can make FFmpeg loop or take any memory, in C code that no thread comes back from. This process has imported what
reading needs, once (0.4 s of CPU). It forks a reader whenever one more is needed; a reader carries out one order after
another. This process has one thread, and ends when the process that started it does; its readers end with it.
"""

import ctypes
import importlib
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from typing import Any

HEADER = struct.Struct("!QQ")
"""Before each order: its length, and the memory that it may take beside what the reader has, both in bytes."""
LENGTH = struct.Struct("!Q")
"""Before each answer, which is (whether it went well, what it returned or raised)."""
START = struct.Struct("!I")
"""What asks for a reader, with the socket for it: how much its priority is lowered. It answers with its process id."""
PR_SET_PDEATHSIG = 1
PRCTL = ctypes.CDLL(None).prctl


def main() -> None:
    """Serve the socket whose file descriptor is the first argument; the other arguments are modules to import."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the forks
    own = os.getpid()
    while True:
        data, files, _, _ = socket.recv_fds(orders, START.size, 1, socket.MSG_WAITALL)
        if len(data) < START.size:
            return
        if os.fork() == 0:
            try:
                orders.close()
                PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                os.nice(START.unpack(data)[0])
                if os.getppid() == own:
                    _serve(socket.socket(fileno=files[0]))
            finally:
                os._exit(0)
        os.close(files[0])


def _serve(orders: socket.socket) -> None:
    orders.sendall(START.pack(os.getpid()))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    size = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # read anew for each order
    while header := _read(orders, HEADER.size):
        length, memory_bytes = HEADER.unpack(header)
        order = _read(orders, length)
        limit = int(os.pread(size, 100, 0).split()[0]) * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
        data = _carry_out(order)
        orders.sendall(LENGTH.pack(len(data)))
        orders.sendall(data)


def _read(orders: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := orders.recv(size - len(data))):
        data += piece
    return bytes(data)


def _carry_out(order: bytes) -> bytes:
    answer: tuple[bool, Any]
    try:
        function, args, kwargs = pickle.loads(order)  # noqa: S301  from the process that started this one
        answer = True, function(*args, **kwargs)
    except BaseException as exc:  # noqa: BLE001  raised where it was ordered
        answer = False, exc
    try:
        return pickle.dumps(answer)
    except Exception as exc:  # noqa: BLE001  an error that can't be sent is named
        return pickle.dumps((False, RuntimeError(f"{answer[1]!r} can't be sent: {exc}")))


if __name__ == "__main__":
    main()
