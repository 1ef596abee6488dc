"""Of the attempts of one chunk that run at the same time one wins, and the others leave nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from helios.models.spec import RenderJobChunk
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.contest import Contest, Contests


@dataclass
class Output:
    """An output that knows whether it was removed."""

    name: str
    is_discarded: bool = False

    def discard(self) -> None:
        """Note it."""
        self.is_discarded = True


@pytest.fixture
def record() -> ChunkRecord:
    chunk = RenderJobChunk(id=7, start_frame=0, frame_count=30, output_file="c.mp4", command="render c.mp4")
    return ChunkRecord(chunk, times=[AttemptTimes(0.0, started=1.0)])


async def after(event: asyncio.Event, output: Output) -> Output:
    await event.wait()
    return output


async def fails(event: asyncio.Event, error: Exception) -> Output:
    await event.wait()
    raise error


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def contests() -> Contests:
    return Contests(lambda _chunk: True)


async def test_the_second_attempt_wins(record: ChunkRecord) -> None:
    """Its output is taken, and the chunk's own attempt is stopped."""
    own, second = asyncio.Event(), asyncio.Event()
    async with contests().held(record) as contest:
        waiting = asyncio.create_task(contest.first(after(own, Output("own"))))
        await asyncio.sleep(0)
        hedge = contest.join(after(second, Output("second")))
        assert contest.is_open is False
        second.set()
        assert (await waiting).name == "second"
        assert contest.is_won_by(hedge)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_both_end_at_the_same_moment(record: ChunkRecord) -> None:
    """One of the outputs is taken, and the other one is removed."""
    both, own, second = asyncio.Event(), Output("own"), Output("second")
    async with contests().held(record) as contest:
        waiting = asyncio.create_task(contest.first(after(both, own)))
        await asyncio.sleep(0)
        contest.join(after(both, second))
        await asyncio.sleep(0)
        both.set()
        won = await waiting
    assert sorted([own.is_discarded, second.is_discarded]) == [False, True]
    assert won.is_discarded is False


async def test_the_loser_s_death_changes_nothing(record: ChunkRecord) -> None:
    """A second attempt that fails lets the chunk's own one go on, and another second one may come."""
    own, second = asyncio.Event(), asyncio.Event()
    async with contests().held(record) as contest:
        waiting = asyncio.create_task(contest.first(after(own, Output("own"))))
        await asyncio.sleep(0)
        hedge = contest.join(fails(second, OSError("gone")))
        second.set()
        await asyncio.wait([hedge])
        await until(lambda: contest.is_open)
        own.set()
        assert (await waiting).name == "own"


async def test_the_own_attempt_fails_and_the_second_goes_on(record: ChunkRecord) -> None:
    """The chunk does not fail while an attempt of it runs."""
    own, second = asyncio.Event(), asyncio.Event()
    async with contests().held(record) as contest:
        waiting = asyncio.create_task(contest.first(fails(own, OSError("own"))))
        await asyncio.sleep(0)
        contest.join(after(second, Output("second")))
        own.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        second.set()
        assert (await waiting).name == "second"


async def test_both_fail(record: ChunkRecord) -> None:
    """The chunk's own failure counts, as without a second attempt."""
    own, second = asyncio.Event(), asyncio.Event()
    async with contests().held(record) as contest:
        waiting = asyncio.create_task(contest.first(fails(own, OSError("own"))))
        await asyncio.sleep(0)
        contest.join(fails(second, OSError("second")))
        own.set()
        second.set()
        with pytest.raises(OSError, match="own"):
            await waiting


async def test_a_cancel_stops_both(record: ChunkRecord) -> None:
    """Both attempts have ended when the cancel is over, also where one takes its time, and a second cancel comes."""
    ended: list[str] = []

    async def stubborn(name: str) -> Output:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            ended.append(name)
        raise AssertionError

    async def contend() -> None:
        async with found.held(record) as contest:
            await contest.first(stubborn("own"))

    found = contests()
    running = asyncio.create_task(contend())
    await until(lambda: found.find(7) is not None)
    await asyncio.sleep(0)
    contest = found.find(7)
    assert isinstance(contest, Contest)
    contest.join(stubborn("second"))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == ["own", "second"]
    assert found.find(7) is None
