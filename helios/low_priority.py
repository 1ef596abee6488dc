"""Blocking work of a process that also runs an event loop, at a priority below that of commands."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")

NICE = 10
"""Added to the priority of the threads, as nice(1) does by default. Commands that render get most of a CPU that both
want. Not 19: a thread that waits for a CPU may hold the interpreter's lock, for which the event loop waits then."""


def _step_back() -> None:
    # On Linux each thread has a priority of its own.
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + NICE, 19))


_THREADS = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="low-priority", initializer=_step_back)
"""One for each CPU: more of them would hold more decoders in memory, and finish no sooner."""


async def run_low(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call `function` in a thread of low priority. When this is cancelled, the function is told to stop.

    Args:
        function: Also takes `stop`, a `threading.Event`; raises anything soon after that is set.
        args: Handed over.
        kwargs: Handed over.

    Raises:
        asyncio.CancelledError: This was cancelled, and the function has ended.
    """
    stop = threading.Event()
    submitted = _THREADS.submit(partial(function, *args, stop=stop, **kwargs))
    work = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        if not submitted.cancel():
            await asyncio.wait([work])
            work.exception()  # looked at: it is the function's way to stop
        raise
