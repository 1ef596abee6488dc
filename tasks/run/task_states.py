"""Tell Prefect a task run's last state from outside its own code."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Cancelled
from prefect.utilities.engine import emit_task_run_state_change_event

from helios.models.report import RunState
from tasks.run.run import JobRun


def record_as_cancelled(run: JobRun, chunk_id: int, reason: str) -> None:
    """Let a chunk's task run end as Cancelled, with the reason.

    A task that is cancelled while its code runs says so itself. One that waits for its retry is inside
    Prefect's engine, which records every cancellation as Crashed, "cancelled by the runtime environment".
    """
    record = run.records[chunk_id]
    run.end_attempt(record, RunState.CANCELLED)
    task_run = record.task_run
    if task_run is None:
        return
    cancelled: State[None] = Cancelled(message=reason)
    cancelled.state_details.task_run_id = task_run.id
    cancelled.state_details.flow_run_id = task_run.flow_run_id
    run.end_task(cancelled)
    tell_last_state(task_run, cancelled, before=task_run.state)


def tell_last_state(task_run: TaskRun, state: State[Any], *, before: State[Any] | None) -> None:
    """Send the event that a task run has come to a state from another, if that is known to the server."""
    task_run.state = state
    task_run.state_id, task_run.state_type, task_run.state_name = state.id, state.type, state.name
    emit_task_run_state_change_event(task_run=task_run, initial_state=before, validated_state=state)
