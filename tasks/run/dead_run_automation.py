"""Have Prefect's server itself notice that a run's process died, when nothing else looks.

A live run emits an event every few seconds (`tasks.run.liveness`). An automation on the server marks a run as crashed
that has emitted such an event once, and then neither another one nor its end.
"""

from datetime import timedelta
from uuid import UUID

from prefect.automations import AutomationCore
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from tasks.run.liveness import RUN_SILENT_SECONDS

NAME = "helios-render: runs that died"
ALIVE = "helios-render.run.alive"
SUSPENDED = "helios-render.run.suspended"
"""Sent after the last sign of life: the process ended in order, and the run goes on when it is resumed."""
ENDS = ("Completed", "Failed", "Cancelled", "Crashed")


def say_alive(run_id: str) -> None:
    """Send the server a run's sign of life."""
    _say(ALIVE, run_id)


def say_suspended(run_id: str) -> None:
    """Tell the server to expect no further sign of life from a run."""
    _say(SUSPENDED, run_id)


def _say(event: str, run_id: str) -> None:
    emit_event(event=event, resource={"prefect.resource.id": f"prefect.flow-run.{run_id}"})


async def ensure_automation(client: PrefectClient) -> UUID:
    """Have the automation on the server; return its id."""
    for found in await client.read_automations_by_name(NAME):
        return found.id
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        for_each={"prefect.resource.id"},
        after={ALIVE},
        expect={ALIVE, SUSPENDED, *(f"prefect.flow-run.{state}" for state in ENDS)},
        threshold=1,
        within=timedelta(seconds=RUN_SILENT_SECONDS),
    )
    message = (
        f"Nothing was heard of the process that rendered this job for {RUN_SILENT_SECONDS} s; helios-job resume goes on"
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)
    description = "Marks render jobs as crashed whose process died. Made by helios-render; made again if it is deleted."
    return await client.create_automation(
        AutomationCore(name=NAME, description=description, trigger=trigger, actions=[action])
    )
