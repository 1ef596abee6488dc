"""What is still to be done of a run: chunks to take from the cache, and what the policy lets a free slot do."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress

from helios.models.report import RunState
from helios.models.spec import RenderJobChunk
from tasks.run.chunk_record import ChunkRecord
from tasks.run.deadline import RunDeadline
from tasks.schedule.budget import Allowance
from tasks.schedule.cutting import Cut, Cutter
from tasks.schedule.deadline import Outlook
from tasks.schedule.expectation import Piece, Timing
from tasks.schedule.hedging import Running
from tasks.schedule.policy import Schedule, Step

PAUSED_LOOK_SECONDS = 1.0
"""Between two looks whether a paused run goes on, where only second attempts could start. Where nothing is left to
start, a paused run does not wait: what is in flight finishes, and then the join waits."""


class Work:
    """The work of one run, used in its event loop alone.

    Args:
        chunks: All chunks, in frame order.
        cached: Ids of those that are in the cache.
        gate: Closed while the run is paused: nothing starts then.
        running: The chunks whose attempts run now.
        earlier: How long chunks took in earlier runs, by id.
        hedge: What second attempts may cost, as a share of the others' time.
        allowed: Says what the budget allows.
        deadline: Says how many chunks at a time are enough.
        cutter: Has the frames that no chunk has yet, of a job that is cut while it is rendered.
        is_watched: Says whether somebody watches the video.
    """

    def __init__(
        self,
        chunks: Sequence[RenderJobChunk],
        cached: Set[int],
        *,
        gate: asyncio.Event,
        running: Callable[[], Iterable[Running]],
        earlier: Mapping[int, Timing],
        hedge: float,
        allowed: Callable[[], Allowance] = lambda: Allowance.ALL,
        deadline: RunDeadline | None = None,
        cutter: Cutter | None = None,
        is_watched: Callable[[], bool] = lambda: False,
    ) -> None:
        self.cached = deque(chunk for chunk in chunks if chunk.id in cached)
        """To be taken from the cache; `decide` is called for each."""
        self.schedule = Schedule(
            [Piece(chunk.id, chunk.frame_count) for chunk in chunks],
            waiting=[chunk.id for chunk in chunks if chunk.id not in cached],
            earlier=earlier,
            hedge=hedge,
            cutter=cutter,
        )
        """The policy."""
        self._gate = gate
        self._running = running
        self._allowed = allowed
        self._deadline = deadline
        self._is_watched = is_watched
        self._undecided = len(self.cached)
        self._underway = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def next(self) -> Step | None:
        """What a free slot is to do; waits while there is nothing yet. None when there is nothing more.

        `done` is called for each step. Of the slots that wait, one looks: thousands that look would cost a CPU.
        """
        async with self._turn:
            while self.schedule.has_steps or self._undecided or self._underway:
                if self.schedule.has_steps:
                    await self._gate.wait()
                self._changed.clear()
                pause: float | None = PAUSED_LOOK_SECONDS
                if self._gate.is_set() and self._has_slot():
                    found = self.schedule.decide(
                        self._running(), time.monotonic(), self._allowed(), is_watched=self._is_watched()
                    )
                    if isinstance(found, Step):
                        self._underway += 1
                        return found
                    pause = found.seconds
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), pause)
            return None

    def _has_slot(self) -> bool:
        """Whether the deadline, if there is one, needs another slot."""
        if self._deadline is None:
            return True
        return self._underway < self._deadline.slots

    def look(self) -> None:
        """Say that something has changed by which another chunk may start."""
        self._changed.set()

    def outlook(self) -> Outlook | None:
        """What is left to render; None while nothing says how long chunks take."""
        return self.schedule.outlook(self._running())

    def settle(self, chunk: RenderJobChunk) -> None:
        """Say that a chunk is there, and was not rendered now."""
        self.schedule.settle(chunk.id)

    def done(self) -> None:
        """Say that a step has ended."""
        self._underway -= 1
        self._changed.set()

    def add(self, chunk: RenderJobChunk) -> None:
        """Have a chunk rendered, for the first time or again."""
        self.schedule.add(chunk.id)
        self._changed.set()

    def add_cut(self, cut: Cut) -> None:
        """Have a chunk rendered that was cut out of another one."""
        self.schedule.add_cut(cut)
        self._changed.set()

    def add_audit(self, chunk: RenderJobChunk) -> None:
        """Have an accepted chunk rendered a second time."""
        self.schedule.add_audit(chunk.id)
        self._changed.set()

    def count(self, record: ChunkRecord) -> None:
        """Tell the policy of a chunk's attempts that have ended."""
        for times in record.times:
            if times.ended is not None and not times.is_counted:
                times.is_counted = True
                is_accepted = times.outcome is RunState.COMPLETED
                self.schedule.note_attempt(
                    record.chunk.id, times.seconds, accepted=is_accepted, is_hedge=times.is_hedge
                )
        self._changed.set()

    def decide(self) -> None:
        """Say that a chunk of the cache is settled, or was added."""
        self._undecided -= 1
        self._changed.set()
