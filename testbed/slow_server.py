"""Servers that never come to an end: a byte now and then, or bytes for ever."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

PAUSE_SECONDS = 0.1
"""Between two bytes of a trickle: far below every timeout of one read."""
Talk = Callable[[socket.socket, threading.Event], None]
"""Answers one connection, until the event is set or the caller goes away."""


def trickle(start: bytes, drop: bytes = b" ") -> Talk:
    """Answer with a start, and then with a drop every tenth of a second."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while not stop.wait(PAUSE_SECONDS):
            connection.sendall(drop)

    return talk


def flood(start: bytes) -> Talk:
    """Answer with a start, and then with as many bytes as are taken."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while not stop.is_set():
            connection.sendall(b" " * 65536)

    return talk


def say(answer: bytes) -> Talk:
    """Answer with bytes, and close the connection."""

    def talk(connection: socket.socket, _stop: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return talk


IN_HEADERS = trickle(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")
IN_BODY = trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
IN_CHUNKS = trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")
ENDLESS = flood(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
ENDLESS_REDIRECT = flood(b"HTTP/1.1 302 Found\r\nLocation: /job.json\r\nContent-Length: 1000000000000\r\n\r\n")


@contextmanager
def slow_server(talk: Talk) -> Iterator[tuple[str, list[int]]]:
    """Serve on a free port of 127.0.0.1 within the block; yield the address, and a list with an item per connection."""
    stop, asked = threading.Event(), list[int]()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                talk(connection, stop)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, (_, port) = listener.accept()
                    asked.append(port)
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
