"""Give a deployment's run whose worker or process died to another worker, which goes on from the accepted chunks.

Prefect's server does it, by three automations, so that it needs no living process of this project:

- A run that has begun says once that it may be handed over. If it then crashes, whoever noticed that, the server
  schedules it again, and forgets what the run said. So each hand-over takes a process that has begun: a worker that
  crashes every run that it takes gets a run once, and not for ever.
- A run that a worker took, and whose process never began, is scheduled again after `START_SILENT_SECONDS`.
- One that was scheduled so `MOST_NOT_BEGUN` times, and then again, is crashed instead, so that a run that no worker can
  begin does not go round for ever. A process that begins counts both kinds of hand-over.

A process that may have lived on, and the next one, can't both have the job: its lock decides (`tasks.run.lock`).
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from prefect.automations import AutomationCore
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events import emit_event
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from tasks.prefect_api.api import ENCODE_FLOW_NAME, FLOW_NAME
from tasks.run.liveness import START_SILENT_SECONDS

HANDED_OVER = "HandedOver"
"""Name of the state of a run that waits for another worker; to Prefect it is Scheduled."""
READY = "helios-render.run.may-be-handed-over"
FOR_DEAD = "helios-render: runs to be handed over"
FOR_SILENT = "helios-render: runs that did not begin"
FOR_NEVER_BEGUN = "helios-render: runs that no worker begins"
MOST_NOT_BEGUN = 3
"""How often a run is handed over that no worker begins. The server does not know a run's parameter `hand_overs`, which
a process that has begun reads; this is its default."""
NOT_BEGUN = "A worker took it, and did not begin"
"""How the message of such a hand-over begins."""
LONGEST_RUN = timedelta(days=60)
"""A run that began longer ago is not handed over."""
_TAKEN = ("Pending", "Submitting", "InfrastructurePending")
_BEGUN = ("Running", "Retrying", "Stitching", "Suspended", "Paused", "Cancelling")
_GONE_ON = (*_BEGUN, "Completed", "Failed", "Cancelled", "Crashed", "Missed", HANDED_OVER, "Scheduled", "Late",
                "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming")  # fmt: skip
_GOING_ON = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


@dataclass(frozen=True)
class HandOvers:
    """How often a run was handed over, and may be."""

    done: int = 0
    """How often it was."""
    most: int = 0
    """How often it may be; 0 for a run without a deployment, which has no worker."""
    interrupted: StateType | None = None
    """What the run was doing when its last process died, if this process began by a hand-over."""

    @property
    def are_left(self) -> bool:
        """Whether the run may be handed over once more."""
        return self.done < self.most

    def __str__(self) -> str:
        """For people."""
        return f"handed over to another worker {self.done} of at most {self.most} times"


async def read_hand_overs(client: PrefectClient, run: FlowRun, most: int) -> HandOvers:
    """Count the hand-overs of a run whose process has begun.

    Args:
        client: Prefect's client.
        run: The run.
        most: How often it may be handed over.
    """
    if run.deployment_id is None:
        return HandOvers()
    states = await client.read_flow_run_states(run.id)
    found = [place for place, state in enumerate(states) if state.name == HANDED_OVER]
    if not found or any(state.type not in _GOING_ON for state in states[found[-1] :]):
        return HandOvers(len(found), most)
    before = (state.type for state in reversed(states[: found[-1]]) if state.type is not StateType.CRASHED)
    return HandOvers(len(found), most, interrupted=next(before, None))


def say_ready(run_id: str) -> None:
    """Tell the server that a run may be handed over once more."""
    emit_event(event=READY, resource={"prefect.resource.id": f"prefect.flow-run.{run_id}"})


async def ensure_hand_overs(client: PrefectClient, *, silent_seconds: int = START_SILENT_SECONDS) -> None:
    """Have each automation on the server, once: with two, a run would be handed over twice.

    Args:
        client: Prefect's client.
        silent_seconds: How long a worker that took a run may take to begin; at least 10. For automations that are new.
    """
    wanted = (_for_dead(), _for_silent(silent_seconds), _for_never_begun())
    await asyncio.gather(*(_ensure(client, automation) for automation in wanted))


async def _ensure(client: PrefectClient, automation: AutomationCore) -> None:
    if await client.read_automations_by_name(automation.name):
        return
    await client.create_automation(automation)
    # Two runs that begin at the same time both make it; each removes what is not the first one.
    for spare in sorted(await client.read_automations_by_name(automation.name), key=lambda one: str(one.id))[1:]:
        with suppress(ObjectNotFound):
            await client.delete_automation(spare.id)


def _for_dead() -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        for_each={"prefect.resource.id"},
        after={READY},
        expect={"prefect.flow-run.Crashed"},
        threshold=1,
        within=LONGEST_RUN,
    )
    return AutomationCore(
        name=FOR_DEAD,
        description="Gives render jobs whose worker or process died to another worker, as often as their parameter "
        "hand_overs allows. Made by helios-render; made again if it is deleted: disable it to have no hand-overs.",
        trigger=trigger,
        actions=[_schedule("Its worker or its process died; accepted chunks are reused")],
    )


def _for_silent(seconds: int) -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=[
            ResourceSpecification(
                {"prefect.resource.role": "flow", "prefect.resource.name": [FLOW_NAME, ENCODE_FLOW_NAME]}
            ),
            ResourceSpecification({"prefect.resource.role": "deployment"}),
        ],
        for_each={"prefect.resource.id"},
        after={f"prefect.flow-run.{state}" for state in _TAKEN},
        expect={f"prefect.flow-run.{state}" for state in _GONE_ON},
        threshold=1,
        within=timedelta(seconds=seconds),
    )
    return AutomationCore(
        name=FOR_SILENT,
        description="Gives render jobs that a worker took and did not begin to another worker. Made by helios-render; "
        "made again if it is deleted: disable it to have no hand-overs.",
        trigger=trigger,
        actions=[_schedule(f"{NOT_BEGUN} within {seconds} s")],
    )


def _for_never_begun() -> AutomationCore:
    trigger = EventTrigger(
        posture=Posture.Reactive,
        match=ResourceSpecification(
            {
                "prefect.resource.id": "prefect.flow-run.*",
                "prefect.state-message": f"{NOT_BEGUN}*",
            }
        ),
        for_each={"prefect.resource.id"},
        expect={f"prefect.flow-run.{HANDED_OVER}"},
        threshold=MOST_NOT_BEGUN + 1,
        within=LONGEST_RUN,
    )
    message = (
        f"{MOST_NOT_BEGUN + 1} workers took it, and none began. Look at their logs and at the work pool; then retry it"
    )
    return AutomationCore(
        name=FOR_NEVER_BEGUN,
        description="Ends render jobs that workers take again and again, and that none begins. Made by helios-render; "
        "made again if it is deleted.",
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def _schedule(why: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.SCHEDULED, name=HANDED_OVER, message=f"{why}; waits for a worker")
