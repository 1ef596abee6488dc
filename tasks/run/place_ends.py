"""How an attempt ended, as the policy of places counts it."""

from helios.errors import HeliosError, RetryBudget
from helios.models.report import RunState
from tasks.run.chunk_record import AttemptTimes
from tasks.schedule.places import Ended


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
