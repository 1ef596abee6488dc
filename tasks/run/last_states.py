"""Make sure that each task run of a flow run has its last state in Prefect's database.

Prefect's tasks send their states as events, which the server writes down a moment after it took them. Events that it
has not written when it is killed are lost, and so are the states of a process that died.
"""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import TERMINAL_STATES, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks.prefect_api.api import PAGE, each, of_run
from tasks.run.run import Run
from tasks.run.task_states import tell_last_state

RECORD_SECONDS = 20.0
"""Seconds within which the last event should be in the database."""
QUIET_SECONDS = 3.0
"""Seconds without a further state after which the missing ones count as lost."""
LOOK_SECONDS = 0.2
DEAD = "Its process died; the job was resumed"


async def complete_states(client: PrefectClient, run: Run) -> None:
    """Send the missing states of this process's task runs again, and end the task runs of processes that died.

    Where nothing is missing this takes as long as the server needs to write the last event down, a second or two.

    Args:
        client: Prefect's client.
        run: The flow run that this is called in (its events name the run of their context), at its end; all of
            its tasks have ended.
    """
    await _until_last_is_recorded(client, run)
    if run.identity.is_first and await _are_all_recorded(client, run):
        return
    recorded: set[UUID] = set()

    async def read(offset: int) -> list[TaskRun]:
        wanted = of_run(run.identity.run_id)
        return await client.read_task_runs(flow_run_filter=wanted, limit=PAGE, offset=offset)

    async for found in each(read):
        recorded.add(found.id)
        if found.state is None or not found.state.is_final():
            ended = run.task_states.ended.get(found.id) or Crashed(message=DEAD)
            await client.set_task_run_state(found.id, ended, force=True)
    for number, state in run.task_states.ended.items():
        if number not in recorded and (task_run := run.task_states.begun.get(number)) is not None:
            # Under another id: the server would take the same id for the event that it has had.
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


async def _until_last_is_recorded(client: PrefectClient, run: Run) -> None:
    """Wait for the last event: events before it are in the database soon, or lost."""
    deadline = time.monotonic() + RECORD_SECONDS
    while run.task_states.ended and time.monotonic() < deadline:
        with suppress(ObjectNotFound):
            last = await client.read_task_run(next(reversed(run.task_states.ended)))
            if last.state is not None and last.state.is_final():
                return
        await asyncio.sleep(LOOK_SECONDS)


async def _are_all_recorded(client: PrefectClient, run: Run) -> bool:
    """Wait while more states arrive: a busy server may write a batch after a later one."""
    most, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        found = await count_ended(client, run.identity.run_id)
        if found >= len(run.task_states.ended):
            return True
        if found > most:
            most, since = found, time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)
    return False
