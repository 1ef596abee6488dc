"""Correct what Prefect records of a task that was cancelled outside its own code."""

from prefect.client.schemas.objects import State
from prefect.states import Cancelled
from prefect.utilities.engine import emit_task_run_state_change_event

from helios.models.report import RunState
from tasks.job_run import ChunkRecord


def record_as_cancelled(record: ChunkRecord, reason: str) -> None:
    """Let a chunk's task run end as Cancelled, with the reason.

    A task that is cancelled while its code runs says so itself. One that waits for its retry is inside
    Prefect's engine, which records every cancellation as Crashed, "cancelled by the runtime environment".
    """
    record.state = RunState.CANCELLED
    task_run = record.task_run
    if task_run is None:
        return
    crashed = task_run.state
    cancelled: State[None] = Cancelled(message=reason)
    cancelled.state_details.task_run_id = task_run.id
    cancelled.state_details.flow_run_id = task_run.flow_run_id
    task_run.state = cancelled
    task_run.state_id, task_run.state_type, task_run.state_name = cancelled.id, cancelled.type, cancelled.name
    emit_task_run_state_change_event(task_run=task_run, initial_state=crashed, validated_state=cancelled)
