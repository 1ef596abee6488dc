"""How attempts ended, as the policy of places counts it, and as the report says it of a place."""

from collections.abc import Sequence

from helios.errors import HeliosError, RetryBudget
from helios.models.place_report import PlaceReport
from helios.models.report import RunState
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.schedule.place import Ended, Known


def is_command(times: AttemptTimes) -> bool:
    """Whether an attempt failed by its command, and not by its environment."""
    return times.failure is not None and times.failure.budget is not RetryBudget.ENVIRONMENT


def ended(times: AttemptTimes) -> Ended:
    """How an attempt ended."""
    if times.outcome is RunState.COMPLETED:
        return Ended.ACCEPTED
    if times.outcome is not RunState.FAILED:
        return Ended.STOPPED
    return Ended.COMMAND if is_command(times) else Ended.ENVIRONMENT


def kind_of(error: HeliosError) -> Ended:
    """How an attempt ended that an error ended."""
    return Ended.ENVIRONMENT if error.failure.budget is RetryBudget.ENVIRONMENT else Ended.COMMAND


def report_place(known: Known, adapter_name: str, records: Sequence[ChunkRecord]) -> PlaceReport:
    """What a place did for a job.

    Args:
        known: What the policy knows of it.
        adapter_name: Name of its adapter.
        records: Of the job's chunks.
    """
    own = [times for record in records for times in record.times if times.place == known.place.name]
    return PlaceReport(
        name=known.place.name,
        adapter=adapter_name,
        concurrency=known.place.bound,
        cost_per_hour=known.place.cost_per_hour,
        attempts=len(own),
        accepted=sum(times.outcome is RunState.COMPLETED for times in own),
        failed=sum(times.outcome is RunState.FAILED for times in own),
        seconds=round(sum(times.seconds for times in own), 3),
        strikes=known.strikes,
        benched=known.bench.benched,
    )
