"""See to it that each task run of a flow run has its last state in Prefect's database.

Prefect's tasks tell their states in events, which the server writes down a moment after it took them. What it has not
written when it is killed is lost; and what a process that died had to tell was never told.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TERMINAL_STATES, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks.run.run import JobRun
from tasks.run.task_states import tell_last_state

RECORD_SECONDS = 20.0
"""How long the last event may take into the database."""
QUIET_SECONDS = 3.0
"""What does not arrive for so long was lost."""
LOOK_SECONDS = 0.2
PAGE = 200
DEAD = "Its process died; the job was resumed"


async def complete_states(client: PrefectClient, run: JobRun) -> None:
    """Tell again what is missing of this process's task runs, and end those of processes that died.

    Where nothing is missing this takes as long as the server needs to write the last event down, a second or two.

    Args:
        client: Prefect's.
        run: The flow run that this is called in (its events name the run of their context), at its end; all of
            its tasks have ended.
    """
    await _until_last_is_recorded(client, run)
    if run.is_first and await _are_all_recorded(client, run):
        return
    recorded: set[UUID] = set()
    async for found in _task_runs(client, UUID(run.run_id)):
        recorded.add(found.id)
        if found.state is None or not found.state.is_final():
            ended = run.ended_tasks.get(found.id) or Crashed(message=DEAD)
            await client.set_task_run_state(found.id, ended, force=True)
    for number, state in run.ended_tasks.items():
        if number not in recorded and (task_run := run.begun_tasks.get(number)) is not None:
            # Under another id: the server takes the same one for the event that it has had.
            again = state.fresh_copy()
            again.timestamp = state.timestamp
            tell_last_state(task_run, again, before=None)


async def count_ended(client: PrefectClient, run_id: str) -> int:
    """How many task runs of a flow run have their last state in the server's database."""
    answer = await client.request(
        "POST",
        "/task_runs/count",
        json={
            "flow_runs": {"id": {"any_": [run_id]}},
            "task_runs": {"state": {"type": {"any_": [state.value for state in TERMINAL_STATES]}}},
        },
    )
    return int(answer.json())


async def _until_last_is_recorded(client: PrefectClient, run: JobRun) -> None:
    """Wait for the last event: what was told before it is in the database soon, or lost."""
    deadline = time.monotonic() + RECORD_SECONDS
    while run.ended_tasks and time.monotonic() < deadline:
        with suppress(ObjectNotFound):
            last = await client.read_task_run(next(reversed(run.ended_tasks)))
            if last.state is not None and last.state.is_final():
                return
        await asyncio.sleep(LOOK_SECONDS)


async def _are_all_recorded(client: PrefectClient, run: JobRun) -> bool:
    """Wait while more arrive: a busy server writes a batch down after a later one."""
    most, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        found = await count_ended(client, run.run_id)
        if found >= len(run.ended_tasks):
            return True
        if found > most:
            most, since = found, time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)
    return False


async def _task_runs(client: PrefectClient, run_id: UUID) -> AsyncIterator[TaskRun]:
    of_run, offset = FlowRunFilter(id=FlowRunFilterId(any_=[run_id])), 0
    while page := await client.read_task_runs(flow_run_filter=of_run, limit=PAGE, offset=offset):
        offset += len(page)
        for task_run in page:
            yield task_run
