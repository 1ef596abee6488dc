"""Verification gives way to commands, and ends when its run is cancelled."""

import asyncio
import os
import threading
import time

import pytest

from helios.low_priority import NICE, run_low


def _priority(*, stop: threading.Event) -> int:
    del stop
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_the_work_gives_way_and_the_event_loop_does_not() -> None:
    """The work's thread has a lower priority than this process; the event loop's thread keeps its own."""
    own = _priority(stop=threading.Event())
    assert await run_low(_priority) == min(own + NICE, 19)
    assert _priority(stop=threading.Event()) == own


async def test_a_cancelled_work_has_ended_when_the_cancellation_returns() -> None:
    """A cancellation tells the work to stop, and waits for its end."""
    began, ended = threading.Event(), threading.Event()

    def work(*, stop: threading.Event) -> None:
        began.set()
        assert stop.wait(60)
        time.sleep(0.1)
        ended.set()
        raise ValueError("stopped")

    task = asyncio.create_task(run_low(work))
    assert await asyncio.to_thread(began.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_work_that_waits_for_a_thread_is_never_begun_after_its_cancellation() -> None:
    """Work that is cancelled while all threads are busy is never begun."""
    release, begun = threading.Event(), []

    def block(*, stop: threading.Event) -> None:
        del stop
        assert release.wait(60)

    def work(*, stop: threading.Event) -> None:
        del stop
        begun.append(1)

    blocking = [asyncio.create_task(run_low(block)) for _ in range(os.cpu_count() or 1)]
    waiting = asyncio.create_task(run_low(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await asyncio.gather(*blocking)
    await run_low(block)
    assert begun == []
