"""Await a call that blocks, in a thread that does not keep the process alive."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def in_daemon_thread(function: Callable[[], T]) -> asyncio.Future[T]:
    """Call a function in a thread of its own.

    The threads of `asyncio.to_thread` and of executors are waited for when the interpreter ends: a connection
    without an answer would hold a cancelled command for a quarter of an hour.

    Returns:
        Its result, or what it raised.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(set_outcome: Callable[[], None]) -> None:
        if not future.done():  # it is done if the awaiting task was cancelled
            set_outcome()

    def run() -> None:
        try:
            outcome = partial(future.set_result, function())
        except BaseException as exc:  # noqa: BLE001  raised again where it is awaited
            outcome = partial(future.set_exception, exc)
        with suppress(RuntimeError):  # the loop is closed, and the caller has gone
            loop.call_soon_threadsafe(deliver, outcome)

    threading.Thread(target=run, daemon=True).start()
    return future
