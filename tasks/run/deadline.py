"""How many chunks a run renders at a time, so that it meets its deadline; and what is said when it can't."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from helios.models.deadline import DeadlineReport, parse_deadline, refuse_past
from helios.models.report_text import duration
from tasks.prefect_api.log import RunLogger
from tasks.run.progress import ProgressTracker
from tasks.run.session import RunSession
from tasks.schedule.deadline import Outlook, Plan, plan_slots

LOOK_SECONDS = 0.5
"""Between two plans: one costs as much as there are chunks left."""


class RunDeadline:
    """The deadline of one run, used in its event loop alone.

    Args:
        at: The deadline.
        most: Chunks at a time at most.
        progress: Told of it.
        log: The run's.
    """

    def __init__(self, at: datetime, *, most: int, progress: ProgressTracker, log: RunLogger) -> None:
        self._at = at
        self._most = most
        self._progress = progress
        self._log = log
        self._ends = time.monotonic() + (at - datetime.now(UTC)).total_seconds()
        self._plan: Plan | None = None
        self._planned_at = 0.0
        self._used = 0
        self._foreseen: float | None = None
        self._is_late = False
        self._rendered_at: float | None = None

    def slots(self, outlook: Callable[[], Outlook | None]) -> int:
        """Chunks at a time from now on.

        Args:
            outlook: Says what is left of the run.
        """
        now = time.monotonic()
        if self._plan is None or now - self._planned_at >= LOOK_SECONDS:
            self._plan, self._planned_at = plan_slots(outlook(), left=self._ends - now, most=self._most), now
            self._used = max(self._used, self._plan.slots)
            self._tell(self._plan, now)
        return self._plan.slots

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
        )

    def _tell(self, plan: Plan, now: float) -> None:
        """Say it when the deadline can't be met, and when it can be met again."""
        late = now + (plan.seconds or 0.0) - self._ends
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
    run.ledger.deadline = found = RunDeadline(at, most=most, progress=run.progress, log=session.api.log)
    return found
