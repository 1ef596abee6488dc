"""Let SIGTERM, and the death of the Prefect worker, end a run in order."""

import asyncio
import os
import select
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

WORKERS_RUN = "PREFECT__FLOW_RUN_ID"
"""Set in a flow's process that a Prefect worker, or runner, has started."""
_IS_INSIDE: ContextVar[bool] = ContextVar("IS_INSIDE", default=False)
"""Whether a caller of this code has signals cancel it."""


def is_workers_run(run_id: object) -> bool:
    """Whether a Prefect worker, or runner, has started this process for a run, and not for one that has it below it."""
    return os.environ.get(WORKERS_RUN, "").replace("-", "") == str(run_id).replace("-", "")


@contextmanager
def sigterm_cancels() -> Iterator[Callable[[], None]]:
    """Within the block, SIGTERM cancels the task that entered it, and so does SIGHUP, which a closed terminal sends.

    Yields:
        A function that cancels the task for other reasons. Only the first call, or the first signal, counts: a second
        cancellation would break off the orderly end.

    Prefect's own handler raises an exception in whatever code the signal meets. Inside a callback of the
    event loop asyncio logs it and goes on, so that the run does too.

    Inside another such block, as in a job of a batch, signals are the outer one's, which cancels all within it.
    """
    task, is_asked = asyncio.current_task(), False

    def cancel() -> None:
        nonlocal is_asked
        if task is not None and not is_asked:
            is_asked = True
            task.cancel()

    if _IS_INSIDE.get() or threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    loop, token = asyncio.get_running_loop(), _IS_INSIDE.set(True)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]  # nohup
    for number in before:
        loop.add_signal_handler(number, cancel)
    try:
        yield cancel
    finally:
        _IS_INSIDE.reset(token)
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def end_cancellation() -> None:
    """Mark the cancellation as dealt with, so that Prefect can still write the run's last state."""
    if task := asyncio.current_task():
        while task.cancelling():
            task.uncancel()


@contextmanager
def on_worker_death(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, the death of the Prefect worker that started this process calls a function in the event loop.

    A process that no worker started is left alone: it may outlive the shell that it came from.
    """
    if WORKERS_RUN not in os.environ or not hasattr(os, "pidfd_open"):
        yield
        return
    loop = asyncio.get_running_loop()
    watched: int | None = None
    # A worker that died while this process was starting left broken pipes, and this process has another parent.
    is_dead, parent = _are_pipes_broken(), os.getppid()
    if not is_dead and parent > 1:
        try:
            watched = os.pidfd_open(parent)
        except ProcessLookupError:
            is_dead = True

    def died() -> None:
        if watched is not None:
            loop.remove_reader(watched)
        _leave_the_pipes()
        stop()

    if is_dead:
        loop.call_soon(died)
    elif watched is not None:
        loop.add_reader(watched, died)
    try:
        yield
    finally:
        if watched is not None:
            loop.remove_reader(watched)
            os.close(watched)


@contextmanager
def called_once_unread(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, call a function in the event loop when nobody reads any more what this process prints.

    Args:
        stop: The function. What is printed goes nowhere from then on: an error of it would break off the orderly end.
    """
    loop = asyncio.get_running_loop()
    pipes = [stream for stream in (1, 2) if _is_pipe(stream)]

    def look() -> None:
        if _are_pipes_broken():
            for stream in pipes:
                loop.remove_reader(stream)
            _leave_the_pipes()
            stop()

    for stream in pipes:
        loop.add_reader(stream, look)  # nothing can be read from them: it is called for an error alone
    try:
        yield
    finally:
        for stream in pipes:
            loop.remove_reader(stream)


def _is_pipe(stream: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream).st_mode)
    except OSError:
        return False


def _are_pipes_broken() -> bool:
    """Whether this process's output goes into pipes that have no reader any more, as those of a dead worker."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _leave_the_pipes() -> None:
    """Redirect output from the dead worker's pipes to /dev/null: a write error there can keep a process from ending."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if _is_pipe(stream):
            os.dup2(nowhere, stream)
    os.close(nowhere)
