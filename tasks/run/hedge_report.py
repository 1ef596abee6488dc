"""What the report says of attempts, and of second ones of slow chunks."""

from collections.abc import Iterable

from helios.models.hedge_report import HedgeReport
from helios.models.report import AttemptReport, RunState
from tasks.run.chunk_record import AttemptTimes, ChunkRecord


def report_attempt(times: AttemptTimes, *, cost: float | None = None) -> AttemptReport:
    """One attempt, to the millisecond.

    Args:
        times: The attempt.
        cost: What it has cost; None where nothing costs anything.
    """
    return AttemptReport(
        began=round(times.began, 3),
        started=_rounded(times.started),
        ended=_rounded(times.ended),
        outcome=times.outcome,
        hedge=times.is_hedge,
        rendered_by=times.rendered_by,
        place=times.place,
        cost=cost,
    )


def report_hedges(share: float, records: Iterable[ChunkRecord]) -> HedgeReport | None:
    """What second attempts came to; None where none began.

    Args:
        share: What they may cost, as a share of the time of the others.
        records: The run's chunks.
    """
    attempts, hedges = 0.0, []
    lost = 0.0
    for record in records:
        own = [times for times in record.times if times.is_hedge]
        hedges += own
        attempts += sum(times.seconds for times in record.times if not times.is_hedge)
        if own:
            lost += sum(times.seconds for times in record.times if times.outcome is RunState.CANCELLED)
    if not hedges:
        return None
    return HedgeReport(
        share=share,
        attempts=len(hedges),
        won=sum(times.outcome is RunState.COMPLETED for times in hedges),
        seconds=round(sum(times.seconds for times in hedges), 3),
        work_seconds=round(attempts, 3),
        lost_seconds=round(lost, 3),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
