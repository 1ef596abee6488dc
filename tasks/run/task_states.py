"""A run's task states: what Prefect was told of each task run of this process, and telling it once more."""

from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Cancelled
from prefect.utilities.engine import emit_task_run_state_change_event


class TaskStates:
    """The task runs of one process."""

    def __init__(self) -> None:
        self.begun: dict[UUID, TaskRun] = {}
        """Task runs whose code has begun."""
        self.ended: dict[UUID, State[Any]] = {}
        """Their last states, in the order of their ends."""

    def begin(self) -> TaskRun | None:
        """Note the task run whose code calls this; None outside a task."""
        context = TaskRunContext.get()
        if context is None:
            return None
        self.begun[context.task_run.id] = context.task_run
        return context.task_run

    def end(self, ended: State[Any]) -> None:
        """Note a task run's last state."""
        if ended.state_details.task_run_id is not None:
            self.ended[ended.state_details.task_run_id] = ended

    def end_as_cancelled(self, task_run: TaskRun | None, reason: str) -> None:
        """Let a task run end as Cancelled, with the reason.

        A task that is cancelled while its code runs sets this state itself. A task that waits for its retry is inside
        Prefect's engine, which records every cancellation as Crashed, "cancelled by the runtime environment".
        """
        if task_run is None:
            return
        cancelled: State[None] = Cancelled(message=reason)
        cancelled.state_details.task_run_id = task_run.id
        cancelled.state_details.flow_run_id = task_run.flow_run_id
        self.end(cancelled)
        tell_last_state(task_run, cancelled, before=task_run.state)


def tell_last_state(task_run: TaskRun, state: State[Any], *, before: State[Any] | None) -> None:
    """Send the event that a task run has come to a state; `before` is its last state on the server, None if unknown."""
    task_run.state = state
    task_run.state_id, task_run.state_type, task_run.state_name = state.id, state.type, state.name
    emit_task_run_state_change_event(task_run=task_run, initial_state=before, validated_state=state)
