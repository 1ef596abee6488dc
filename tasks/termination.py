"""Let SIGTERM end a run in order."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_cancels() -> Iterator[None]:
    """Within the block, SIGTERM cancels the task that entered it.

    Prefect's own handler raises an exception in whatever code the signal meets. Inside a callback of the
    event loop asyncio logs it and goes on, so that the run does too.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
