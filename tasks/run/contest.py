"""The attempts of one chunk that run at the same time: the first verified output wins, the others are stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from tasks.run.chunk_record import ChunkRecord
from tasks.schedule.hedging import Running


class Discardable(Protocol):
    """An output of an attempt that may lose."""

    def discard(self) -> None:
        """Remove it."""
        ...


class Contest:
    """The contest for one chunk's output, in the event loop alone.

    The chunk's own attempt decides when it is over: while it waits for its next attempt there is no contest.

    Args:
        record: The chunk's.
        may_hedge: Whether two attempts can run at the same time.
    """

    def __init__(self, record: ChunkRecord, *, may_hedge: bool) -> None:
        self.record = record
        """The chunk's."""
        self._may_hedge = may_hedge
        self._own: asyncio.Task[Any] | None = None
        self._hedge: asyncio.Task[Any] | None = None
        self._winner: asyncio.Future[asyncio.Task[Any]] = asyncio.get_running_loop().create_future()
        self._when_alone: Callable[[], None] | None = None

    async def first(self, own: Coroutine[Any, Any, Any]) -> Any:
        """Run the chunk's own attempt, and return the output that is verified first.

        Raises:
            Exception: That of the own attempt, once no other runs.
        """
        self._own = asyncio.create_task(own)
        self._own.add_done_callback(self._note_end)
        return (await self._winner).result()

    @property
    def is_open(self) -> bool:
        """Whether a second attempt may join."""
        return not self._winner.done() and self._hedge is None

    def join(self, hedge: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a second attempt; the contest is open."""
        self.record.hedges += 1
        self._hedge = asyncio.create_task(hedge)
        self._hedge.add_done_callback(self._note_end)
        return self._hedge

    def when_alone(self, call: Callable[[], None]) -> None:
        """Have something called when the chunk's own attempt has failed and the second one alone is left, or now."""
        self._when_alone = call
        self._note_alone()

    def is_won_by(self, attempt: asyncio.Task[Any]) -> bool:
        """Whether an attempt's output is the chunk's."""
        return self._winner.done() and not self._winner.cancelled() and self._winner.result() is attempt

    def _note_end(self, attempt: asyncio.Task[Any]) -> None:
        if attempt is self._hedge and not _is_won(attempt):
            self._hedge = self._when_alone = None  # another one may come
        if self._winner.done():
            return
        if _is_won(attempt):
            self._winner.set_result(attempt)
        elif self._own is not None and self._own.done() and self._hedge is None:
            self._winner.set_result(self._own)  # which failed: `first` raises that
        else:
            self._note_alone()

    def _note_alone(self) -> None:
        if self._when_alone is not None and self._own is not None and self._own.done():
            self._when_alone()
            self._when_alone = None

    async def close(self) -> None:
        """Stop the attempts that have not won, and remove what they rendered; wait for their end."""
        if not self._winner.done():
            self._winner.cancel()
        others = [one for one in (self._own, self._hedge) if one is not None and not self.is_won_by(one)]
        for one in others:
            one.cancel()
        cancelled: asyncio.CancelledError | None = None
        while left := [one for one in others if not one.done()]:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError as exc:
                cancelled = exc
        for one in others:
            if _is_won(one):  # both ended at the same moment
                one.result().discard()
        if cancelled is not None:
            raise cancelled

    def running(self, now: float) -> Running | None:
        """What the policy sees of it; None while the chunk waits for a worker.

        Args:
            now: Seconds since the run began.
        """
        times, hedge = self.record.current, self.record.hedge
        hedge_seconds = 0.0 if hedge is None or hedge.ended is not None else now - hedge.began
        if times is None or times.started is None or (times.ended is not None and self._hedge is None):
            return None
        return Running(
            self.record.chunk.id,
            seconds=(now if times.ended is None else times.ended) - times.started,
            hedge_seconds=None if self._hedge is None else hedge_seconds,
            hedges=self.record.hedges,
            may_hedge=self._may_hedge and times.answered is None and self._hedge is None,
        )


class Contests:
    """The contests of one run.

    Args:
        may_hedge: Says of a chunk whether two attempts of it can run at the same time.
    """

    def __init__(self, may_hedge: Callable[[ChunkRecord], bool]) -> None:
        self._may_hedge = may_hedge
        self._open: dict[int, Contest] = {}

    @asynccontextmanager
    async def held(self, record: ChunkRecord) -> AsyncIterator[Contest]:
        """The contest of a chunk's attempt within the block; at its end, attempts that have not won are stopped."""
        contest = self._open[record.chunk.id] = Contest(record, may_hedge=self._may_hedge(record))
        try:
            yield contest
        finally:
            del self._open[record.chunk.id]
            await contest.close()

    def find(self, chunk_id: int) -> Contest | None:
        """A chunk's contest; None where its attempt has ended."""
        return self._open.get(chunk_id)

    def running(self, now: float) -> Iterator[Running]:
        """The chunks whose attempts run.

        Args:
            now: Seconds since the run began.
        """
        for contest in self._open.values():
            if (found := contest.running(now)) is not None:
                yield found


def _is_won(attempt: asyncio.Task[Any]) -> bool:
    """Whether an attempt has a verified output; looks at its exception, so that none counts as never seen."""
    return attempt.done() and not attempt.cancelled() and attempt.exception() is None
