"""How many chunks a run renders at a time and at which places, to meet its deadline; and what is said if it can't."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from helios.beside import beside
from helios.models.deadline import DeadlineReport, PlaceSpan, parse_deadline, refuse_past
from helios.models.report_text import duration
from tasks.prefect_api.log import RunLogger
from tasks.run.places import RunPlaces
from tasks.run.progress import ProgressTracker
from tasks.run.session import RunSession
from tasks.schedule.deadline import Outlook, Plan, plan_slots

LOOK_SECONDS = 0.5
"""Between two plans: one costs as much as there are chunks left."""
MOST_SPANS = 100
"""Openings of places that the report has; the log has them all."""


class RunDeadline:
    """The deadline of one run, used in its event loop alone.

    Args:
        at: The deadline.
        most: Chunks at a time at most.
        places: Are opened and closed as the deadline needs them.
        progress: Told of it; its clock dates the places.
        log: The run's.
    """

    def __init__(
        self, at: datetime, *, most: int, places: RunPlaces, progress: ProgressTracker, log: RunLogger
    ) -> None:
        self._at = at
        self._most = most
        self._places = places
        self._progress = progress
        self._log = log
        self._ends = time.monotonic() + (at - datetime.now(UTC)).total_seconds()
        self._plan: Plan | None = None
        self._spans: list[PlaceSpan] = []
        self._used = 0
        self._foreseen: float | None = None
        self._is_late = False
        self._rendered_at: float | None = None

    @property
    def slots(self) -> int:
        """Chunks at a time from now on."""
        return self._places.planned_slots or (self._plan.slots if self._plan is not None else 1)

    @asynccontextmanager
    async def watched(self, outlook: Callable[[], Outlook | None], *, tell: Callable[[], None]) -> AsyncIterator[None]:
        """Within the block, plan again and again.

        Args:
            outlook: Says what is left of the run.
            tell: Called after each plan: another chunk may start.
        """

        async def look_again_and_again() -> None:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self.look(outlook())
                tell()

        self.look(outlook())
        async with beside(look_again_and_again()):
            yield

    def look(self, outlook: Outlook | None) -> None:
        """Plan anew.

        Args:
            outlook: What is left of the run; None where nothing is known.
        """
        left, before = self._ends - time.monotonic(), self._plan
        now_open = () if before is None else tuple(before.places)
        self._plan = plan = plan_slots(
            outlook, self._places.options(self._most), left=left, most=self._most, now_open=now_open
        )
        self._used = max(self._used, plan.slots)
        if self._places.are_several:
            self._places.allot(plan.places, seconds_left=left)
            self._note_places(plan)
        self._tell(plan, late=(plan.seconds or 0.0) - left)

    def note_rendered(self) -> None:
        """Say that all chunks are rendered."""
        self._rendered_at = time.monotonic()
        self._progress.note(late_seconds=max(0.0, self._rendered_at - self._ends) or None)

    def report(self) -> DeadlineReport:
        """How the run stood to it."""
        return DeadlineReport(
            at=self._at,
            met=self._rendered_at is not None and self._rendered_at <= self._ends,
            slots=self._used,
            foreseen_seconds=self._foreseen,
            places=tuple(self._spans),
        )

    def _note_places(self, plan: Plan) -> None:
        """Say which places are opened, and which are closed."""
        now = round(self._progress.seconds, 3)
        open_spans = {span.name: place for place, span in enumerate(self._spans) if span.closed_seconds is None}
        for name, slots in plan.places.items():
            if (place := open_spans.get(name)) is not None:
                most = max(slots, self._spans[place].slots)
                self._spans[place] = self._spans[place].model_copy(update={"slots": most})
            else:
                self._log.info("For the deadline, %s gets chunks from now on, %d at a time", name, slots)
                if len(self._spans) < MOST_SPANS:
                    self._spans.append(PlaceSpan(name=name, opened_seconds=now, slots=slots))
        for name in open_spans.keys() - plan.places.keys():
            self._log.info("%s gets no more chunks: the deadline does not need it now", name)
            closed = {"closed_seconds": now}
            self._spans[open_spans[name]] = self._spans[open_spans[name]].model_copy(update=closed)

    def _tell(self, plan: Plan, *, late: float) -> None:
        """Say it when the deadline can't be met, and when it can be met again."""
        self._progress.note(late_seconds=None if plan.is_in_time else round(max(late, 0.1), 1))
        if plan.is_in_time == self._is_late:
            self._is_late = not plan.is_in_time
            if self._is_late:
                self._foreseen = self._foreseen or round(self._progress.seconds, 3)
                self._log.warning("The deadline %s can't be met, with %d chunks at a time: they will be rendered about "
                                  "%s later", f"{self._at:%Y-%m-%d %H:%M:%S}", plan.slots, duration(late))  # fmt: skip
            else:
                self._log.info("The deadline can be met after all, with %d chunks at a time", plan.slots)


async def open_deadline(session: RunSession, most: int) -> RunDeadline | None:
    """The run's deadline; None where it has none.

    Args:
        session: The run.
        most: Chunks at a time at most.

    Raises:
        RequestError: It had passed when the run began.
    """
    run, now = session.run, datetime.now().astimezone()
    text = run.identity.job.deadline
    if text is None:
        return None
    began = now
    if not run.identity.is_first:
        own = await session.api.client.read_flow_run(UUID(run.identity.run_id))
        began = (own.start_time or now).astimezone()
    at = parse_deadline(text, began)
    if run.identity.is_first:
        refuse_past(at, now)
    session.api.log.info("To be rendered by %s, by at most %d chunks at a time", f"{at:%Y-%m-%d %H:%M:%S %Z}", most)
    run.ledger.deadline = found = RunDeadline(
        at, most=most, places=run.places, progress=run.progress, log=session.api.log
    )
    return found
