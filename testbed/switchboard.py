"""A way to a server that passes everything on, is too busy, or is away, as a test says."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"


class Mode(Enum):
    """What becomes of a connection."""

    OPEN = auto()
    """It goes to the server."""
    BUSY = auto()
    """Its request is answered with 503."""
    AWAY = auto()
    """It is closed at once."""


class Switchboard:
    """The way to a server; its threads end with the test's process.

    Args:
        port: The server's, on 127.0.0.1.
        listener: Takes connections.
    """

    def __init__(self, port: int, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        """The address to go by."""
        self.refused: dict[Mode, int] = dict.fromkeys(Mode, 0)
        """Connections that met each mode, those of `OPEN` included."""
        self._port = port
        # A server of this project answers under its own address alone.
        self._host = re.compile(rb"(?i)(\r\nhost: *)127\.0\.0\.1:%d\b" % listener.getsockname()[1])
        self._mode = Mode.OPEN
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def switch(self, mode: Mode) -> None:
        """Change what becomes of connections. Those that are open are cut, unless they may stay."""
        self._mode = mode
        if mode is not Mode.OPEN:
            for connection in list(self._open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        mode = self._mode
        self.refused[mode] += 1
        with connection, suppress(OSError):
            if mode is Mode.BUSY:
                connection.recv(65536)
                connection.sendall(BUSY)
            elif mode is Mode.OPEN:
                self._pass_on(connection)

    def _pass_on(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            pair = {connection, server}
            self._open |= pair
            try:
                back = threading.Thread(target=_copy, args=(server, connection), daemon=True)
                back.start()
                _copy(connection, server, self._readdressed)
                back.join()
            finally:
                self._open -= pair

    def _readdressed(self, data: bytes) -> bytes:
        return self._host.sub(rb"\g<1>127.0.0.1:%d" % self._port, data)


def _copy(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes] = lambda data: data) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(change(data))
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def switchboard(port: int) -> Iterator[Switchboard]:
    """Have a switchboard in front of a server of this machine within the block.

    Args:
        port: The server's.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        board = Switchboard(port, listener)
        try:
            yield board
        finally:
            board.switch(Mode.AWAY)
            listener.shutdown(socket.SHUT_RDWR)
