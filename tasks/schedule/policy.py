"""The next step of a run, from what is known at one moment."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tasks.schedule.budget import Allowance
from tasks.schedule.cutting import Cut, Cutter
from tasks.schedule.deadline import Outlook
from tasks.schedule.expectation import Piece, Timing, expect
from tasks.schedule.hedging import Bucket, Hedge, Pace, Running, choose_hedge
from tasks.schedule.order import Pending

PAUSE_EACH = 50e-6
"""Seconds between two looks at the running chunks, for each of them: looking at one takes 2 µs."""


class Kind(StrEnum):
    """What a step is."""

    RENDER = "render"
    """Render a chunk."""
    HEDGE = "hedge"
    """Give a chunk that takes too long a second attempt."""
    AUDIT = "audit"
    """Render an accepted chunk again, to compare."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a free slot is to do."""

    kind: Kind
    """What."""
    chunk_id: int
    """With which chunk."""
    seconds: float | None = None
    """Of a second attempt, when it is given up."""
    cut: Cut | None = None
    """The frames of a chunk that was cut just now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do for a free slot now."""

    seconds: float | None
    """In how many seconds to ask again, though nothing happens before; None for not before something happens."""


class Schedule:
    """What one run has to do. Each method costs at most the logarithm of the number of chunks.

    Args:
        pieces: The run's chunks, in frame order.
        waiting: Ids of those that are to be rendered; others may be added.
        earlier: How long chunks took in earlier runs, by id.
        hedge: What second attempts may cost, as a share of the others' time, 0 to 1; 0 for none.
        cutter: Has the frames that no chunk has yet, of a job that is cut while it is rendered.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        *,
        waiting: Collection[int],
        earlier: Mapping[int, Timing] | None = None,
        hedge: float = 0.0,
        cutter: Cutter | None = None,
    ) -> None:
        self.costs = costs = expect(pieces, earlier or {})
        """What each chunk is expected to cost, by id; grows with the chunks."""
        if cutter is not None and cutter.profile.is_known:
            costs.update((piece.id, cutter.expected(piece.id)) for piece in pieces)
        self._cutter = cutter
        self._unpriced: set[int] = set()
        """Chunks that were cut before anything was timed, and that have not ended."""
        self._pending = Pending(pieces, costs, waiting)
        self._audits: deque[int] = deque()
        self.pace = Pace(costs)
        """What accepted attempts let expect of the others."""
        self.bucket = Bucket(hedge)
        """What second attempts may cost."""
        self.watched = 0
        """Chunks that were begun while somebody watched."""
        self._look_at = 0.0
        self._left = dict(costs)

        # The costs are seconds where earlier runs were timed, until this run knows better.
        self._timed = 0.0
        self._timed_costs = 0.0
        self._second = 1.0 if earlier else None

    @property
    def backlog(self) -> float:
        """What is expected to cost together that waits for its render: chunks, and frames that no chunk has yet."""
        cutter = self._cutter
        uncut = cutter.left_seconds if cutter is not None and cutter.profile.is_known else 0.0
        return uncut + (self._pending.cost if self._pending else 0.0)

    @property
    def has_steps(self) -> bool:
        """Whether a chunk waits for its render or its audit, or frames for their chunk."""
        return bool(self._pending or self._audits or (self._cutter and self._cutter.has_uncut))

    def add(self, chunk_id: int) -> None:
        """Have a chunk rendered, for the first time or again."""
        self._pending.add(chunk_id)
        self._left[chunk_id] = self.costs[chunk_id]

    def settle(self, chunk_id: int) -> None:
        """Say that a chunk is there."""
        self._left.pop(chunk_id, None)

    def outlook(self, running: Iterable[Running] = ()) -> Outlook | None:
        """What is left to render, in seconds; None while nothing says how long chunks take. Looks at all that is left.

        Args:
            running: Chunks whose attempts run now.
        """
        chunks = list(running)
        second, is_least = self._timed / self._timed_costs if self._timed_costs else self._second, False
        if second is None:
            second, is_least = max((one.seconds / self.costs[one.chunk_id] for one in chunks), default=0.0), True
        if second == 0:
            return None
        left = {chunk_id: cost * second for chunk_id, cost in self._left.items()}
        for one in chunks:
            if one.chunk_id in left:
                left[one.chunk_id] = max(0.0, left[one.chunk_id] - one.seconds)
        return Outlook(sum(left.values()), max(left.values(), default=0.0), is_least=is_least)

    def add_audit(self, chunk_id: int) -> None:
        """Have an accepted chunk rendered a second time: behind all chunks, which audits are not to delay."""
        self._audits.append(chunk_id)

    def note_attempt(self, chunk_id: int, seconds: float, *, accepted: bool, is_hedge: bool = False) -> None:
        """Count an attempt that has ended.

        Args:
            chunk_id: Its chunk.
            seconds: How long it ran.
            accepted: Whether its output was rendered well; what failed or was stopped says nothing of its siblings.
            is_hedge: Whether it was a second attempt.
        """
        if is_hedge and not accepted:
            self.bucket.hedge_seconds += seconds
        else:
            self.bucket.work_seconds += seconds
        if accepted:
            self.settle(chunk_id)
        if accepted and seconds > 0:
            if self._cutter is not None:
                self._cutter.note(chunk_id, seconds)
                for unpriced in self._unpriced & self._cutter.ids:
                    self.pace.know(unpriced, self._cutter.expected(unpriced))
                self._unpriced.discard(chunk_id)
            self.pace.add(chunk_id, seconds)
            self._timed += seconds
            self._timed_costs += self.costs[chunk_id]

    def add_cut(self, cut: Cut) -> None:
        """Have a chunk rendered that the cutter has cut."""
        self._know(cut)
        self._pending.add(cut.id)

    def _know(self, cut: Cut) -> None:
        if cut.seconds is None:
            self._unpriced.add(cut.id)
        cost = cut.seconds or float(cut.frames)
        self._pending.know(Piece(cut.id, cut.frames), cost)
        self.pace.know(cut.id, cost)

    def decide(
        self, running: Iterable[Running], now: float, allowed: Allowance = Allowance.ALL, *, is_watched: bool = False
    ) -> Step | Wait:
        """What a free slot is to do: render what waits, or what is cut for it, then give second attempts, then audit.

        Args:
            running: Chunks whose attempts run now; looked at only where no chunk waits, and not each time.
            now: Seconds since some moment.
            allowed: What the budget allows. That a chunk may be rendered is waited for later: it may be there already.
            is_watched: Whether somebody watches the video: then the chunk that is seen first is rendered first.
        """
        if self._pending:
            self.watched += is_watched
            return Step(Kind.RENDER, self._pending.take(as_seen=is_watched))
        if self._cutter is not None and self._cutter.has_uncut:
            self._know(cut := self._cutter.cut())
            return Step(Kind.RENDER, cut.id, cut=cut)
        if allowed is not Allowance.ALL:
            is_first = self._audits and next(iter(running), None) is None  # nothing else is left that needs the money
            return Step(Kind.AUDIT, self._audits.popleft()) if is_first else Wait(None)
        hedge, again = self._look(running, now)
        if hedge is not None:
            self.bucket.hedges += 1
            return Step(Kind.HEDGE, hedge.chunk_id, hedge.seconds)
        if self._audits:
            return Step(Kind.AUDIT, self._audits.popleft())
        return Wait(again)

    def _look(self, running: Iterable[Running], now: float) -> tuple[Hedge | None, float | None]:
        """A second attempt that is to start, and when to look again; see `choose_hedge`."""
        if self.bucket.share <= 0:
            return None, None
        if now < self._look_at:
            return None, self._look_at - now
        chunks = list(running)
        hedge, again = choose_hedge(chunks, self.pace, self.bucket)
        if hedge is None:
            pause = len(chunks) * PAUSE_EACH
            self._look_at = now + pause
            again = None if again is None else max(again, pause)
        return hedge, again
