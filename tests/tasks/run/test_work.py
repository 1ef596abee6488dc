"""Which step a free slot gets, and when a slot has nothing more to do."""

import asyncio
from collections.abc import Callable

from helios.models.spec import RenderJobChunk
from tasks.run.work import Work
from tasks.schedule.policy import Kind, Step

CHUNKS = [
    RenderJobChunk(id=number, start_frame=number, frame_count=1, output_file=f"{number}.mp4", command="render")
    for number in range(3)
]


def work(gate: asyncio.Event, *, cached: frozenset[int] = frozenset()) -> Work:
    return Work(CHUNKS, cached, gate=gate, running=list, earlier={}, hedge=0.0)


def opened() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def taken(given: Work) -> list[int]:
    """Take every step, and end it at once."""
    ids = []
    while (step := await given.next()) is not None:
        ids.append(step.chunk_id)
        given.done()
    return ids


async def test_all_chunks_then_nothing() -> None:
    """Slots take the chunks in their order, and get nothing once all are done."""
    assert await taken(work(opened())) == [0, 1, 2]


async def test_a_slot_waits_for_what_others_may_leave() -> None:
    """While a chunk is at work, it may come back, or be audited; a free slot takes it then."""
    one = work(opened())
    for _ in CHUNKS:
        await one.next()
    waiting = asyncio.create_task(one.next())
    one.add_audit(CHUNKS[2])
    step = await waiting
    assert isinstance(step, Step)
    assert (step.kind, step.chunk_id) == (Kind.AUDIT, 2)
    last = asyncio.create_task(one.next())
    for _ in range(4):
        one.done()
    assert await last is None


async def test_a_slot_waits_for_the_cache() -> None:
    """A chunk that the cache can't give is rendered, though all others are done."""
    one = work(opened(), cached=frozenset({1}))
    assert [await one.next(), await one.next()] == [Step(Kind.RENDER, 0), Step(Kind.RENDER, 2)]
    one.done()
    one.done()
    waiting = asyncio.create_task(one.next())
    await asyncio.sleep(0)
    one.add(one.cached.popleft())
    one.decide()
    assert await waiting == Step(Kind.RENDER, 1)


async def test_a_pause_starts_nothing() -> None:
    """While the gate is closed a slot takes no chunk; it goes on when the gate opens."""
    gate = asyncio.Event()
    waiting = asyncio.create_task(work(gate).next())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting == Step(Kind.RENDER, 0)


async def test_a_paused_run_of_which_nothing_is_left_to_start() -> None:
    """Slots get nothing more when what was in flight has ended, also while the run is paused."""
    gate = opened()
    one = work(gate)
    for _ in CHUNKS:
        await one.next()
    gate.clear()
    waiting = asyncio.create_task(one.next())
    await asyncio.sleep(0)
    for _ in CHUNKS:
        one.done()
    assert await asyncio.wait_for(waiting, 30) is None
