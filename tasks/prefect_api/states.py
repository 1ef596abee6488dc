"""Map Prefect's states to the states of a job, and back."""

from collections.abc import Collection
from typing import Any

from prefect.client.schemas.filters import FlowRunFilterState, FlowRunFilterStateName, FlowRunFilterStateType
from prefect.client.schemas.objects import State, StateType
from prefect.states import Paused, Running, Scheduled, Suspended

from helios.models.report import RunState

STITCHING = "Stitching"
"""Name of the state in which a job's chunks are joined; to Prefect it is Running."""

_STATES = {
    StateType.SCHEDULED: RunState.PENDING,
    StateType.PENDING: RunState.PENDING,
    StateType.RUNNING: RunState.RUNNING,
    StateType.CANCELLING: RunState.RUNNING,
    StateType.PAUSED: RunState.PAUSED,
    StateType.COMPLETED: RunState.COMPLETED,
    StateType.FAILED: RunState.FAILED,
    StateType.CANCELLED: RunState.CANCELLED,
    StateType.CRASHED: RunState.CRASHED,
}
ENDED = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.CRASHED})
"""States that a job stays in."""
ACTIVE_TYPES = (StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED)
"""Prefect's states of runs that have, or had, a process."""


def job_state(state: State[Any] | None) -> RunState:
    """The state of a job, by its flow run's state."""
    if state is None:
        return RunState.PENDING
    if state.type is StateType.RUNNING and state.name == STITCHING:
        return RunState.STITCHING
    return _STATES[state.type]


def state_filter(states: Collection[RunState]) -> FlowRunFilterState:
    """The filter of Prefect's API for runs in any of some states; at least one.

    Prefect's Running is a job's running and its stitching, which only the state's name tells apart.
    """
    types = [type_ for type_, meaning in _STATES.items() if meaning in states]
    by_type = FlowRunFilterStateType(any_=types) if types else None
    running, joining = RunState.RUNNING in states, RunState.STITCHING in states
    if running == joining:
        return FlowRunFilterState(type=by_type)
    if running:
        return FlowRunFilterState(type=by_type, name=FlowRunFilterStateName(not_any_=[STITCHING]))
    by_name = FlowRunFilterStateName(any_=[STITCHING])
    return FlowRunFilterState.model_validate({"operator": "or_", "type": by_type, "name": by_name})


def is_suspended(state: State[Any] | None) -> bool:
    """Whether a run is paused and its process has ended, or is about to: resuming starts another process."""
    return state is not None and state.type is StateType.PAUSED and bool(state.state_details.pause_reschedule)


def running() -> State[None]:
    """Prefect's state of a job that renders."""
    return Running()


def stitching() -> State[None]:
    """Prefect's state of a job whose chunks are being joined."""
    return Running(name=STITCHING)


def paused() -> State[None]:
    """Prefect's state of a paused job; the job stays paused until it is continued."""
    return Paused(message="Chunks in flight finish, and nothing new starts, until the job is continued")


def suspended(
    message: str = "The job was paused when its worker or its process died; it goes on when it is resumed",
) -> State[None]:
    """Prefect's state of a paused job that has no process, or soon has none: another one goes on when it is resumed.

    Args:
        message: Why.
    """
    return Suspended(message=message)


def to_be_resumed() -> State[None]:
    """Prefect's state of a job that is to go on where it stopped."""
    return Scheduled(name="AwaitingRetry", message="To be resumed: accepted chunks are reused")
