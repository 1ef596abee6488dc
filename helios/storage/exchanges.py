"""Calls of the store's library in threads: each with a deadline that grows with its bytes, and none holds a process.

The library can't interrupt a call, and its timeouts are for one read, or for the largest file. A server that sends a
byte now and then would hold its caller for half an hour. So the caller waits for as long as the exchange keeps its
pace, and then leaves it, as it does when it is cancelled. What was left ends by itself, at its next bytes or at the
library's timeout, and nobody waits for that: neither the next call nor the end of the process.

Not the library's own coroutines: a cancelled one goes on in the library's runtime, and when it then ends after the
event loop, or the interpreter, it takes the process with it (SIGABRT, seen).
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from helios.errors import WorkerUnavailableError

T = TypeVar("T")
ANSWER_SECONDS = 60.0
"""For an exchange, from its beginning to its end …"""
LEAST_BYTES_PER_SECOND = 4096
"""… and for each so many bytes of it a second more: 16 transfers at once over a line of half a megabit."""
LOOK_SECONDS = 10.0
"""At most so long between two looks at an exchange's bytes."""


class UnansweredError(WorkerUnavailableError):
    """A server did not answer in time. Another try, which takes as long, is for the caller to decide."""


class Exchange:
    """One exchange, as its caller and its thread see it.

    Args:
        url: What it is about.
        size: Bytes that are sent with it.
    """

    def __init__(self, url: str, *, size: int = 0) -> None:
        self.bytes = size
        """Bytes that have passed."""
        self.is_over = False
        """Nobody waits for it any more: its thread should come back."""
        self._url = url
        self._began = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Until its deadline."""
        return self._began + ANSWER_SECONDS + self.bytes / LEAST_BYTES_PER_SECOND - time.monotonic()

    def counted(self, pieces: Iterable[Any]) -> Iterator[bytes]:
        """The pieces of what passes.

        Raises:
            ConnectionAbortedError: Nobody waits for it any more.
        """
        for piece in pieces:
            if self.is_over:
                raise ConnectionAbortedError
            self.bytes += len(piece)
            yield bytes(piece)

    def unanswered(self) -> UnansweredError:
        """It took too long."""
        passed = f", after {self.bytes} bytes" if self.bytes else ""
        return UnansweredError(
            f"{self._url} did not answer as a whole within {time.monotonic() - self._began:.0f} s{passed}; is its "
            "server in trouble?"
        )


class Exchanges:
    """Threads for exchanges, so many at a time; one that was left counts no more.

    Args:
        most: Exchanges at a time.
        name: The threads'.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Exchange, Callable[[], Any], Future[Any]]] = deque()
        self._threads = 0

    async def run(self, exchange: Exchange, work: Callable[[], T]) -> T:
        """Call a function in a thread, for as long as the exchange keeps its pace.

        Raises:
            UnansweredError: It did not.
        """
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((exchange, work, future))
            self._start_thread()
        asked = asyncio.wrap_future(future)
        try:
            while not asked.done():
                if (left := exchange.seconds_left) <= 0:
                    raise exchange.unanswered()
                await asyncio.wait([asked], timeout=min(left, LOOK_SECONDS))
            return asked.result()
        finally:
            self._leave(exchange, future)
            asked.cancel()  # its event loop may be closed when the thread comes back

    def _start_thread(self) -> None:
        if self._threads < self._most and self._waiting:
            self._threads += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                exchange, work, future = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                found = work()
            except BaseException as exc:  # noqa: BLE001  raised again where it is awaited
                future.set_exception(exc)
            else:
                future.set_result(found)
            with self._lock:
                if exchange.is_over:
                    return  # another thread has its place

    def _leave(self, exchange: Exchange, future: Future[Any]) -> None:
        """Let the thread of an exchange that goes on go on by itself."""
        with self._lock:
            if not future.cancel() and not future.done():
                exchange.is_over = True
                self._threads -= 1
                self._start_thread()
