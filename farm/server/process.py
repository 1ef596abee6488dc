"""The process of a Prefect server that this program starts: `farm.server.embedded`."""

import os
import socket
import subprocess
import sys
from typing import IO

from farm.server.credentials import ServerAccess
from farm.server.settings import EMBEDDED

STOP_SECONDS = 15.0


def bound_socket(port: int = 0) -> socket.socket:
    """Take a port of 127.0.0.1 for a server, which gets the socket: no other program can take the port before it.

    Args:
        port: The port; 0 for any that is free.

    Raises:
        OSError: The port can't be had.
    """
    listener = socket.socket()
    if port:
        # A server that starts again gets its port although connections of the one before are still being closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


def start_server(access: ServerAccess, listener: socket.socket, *, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server; it ends when its standard input is closed, which this process does at the latest as it ends.

    Args:
        access: Its address, which is that of the socket, and its credential.
        listener: As `bound_socket` returns it; closed here, since the server has it from now on.
        log: Where the server writes.
    """
    with listener:
        return subprocess.Popen(
            [sys.executable, "-m", "farm.server.embedded", str(listener.fileno())],
            env={**os.environ, **EMBEDDED, **access.server_environment},
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """Let a server end in order; kill it if it takes longer than `STOP_SECONDS`."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
