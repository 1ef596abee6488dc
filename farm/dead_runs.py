"""Find runs whose process died while Prefect takes them for running, and mark them as crashed."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled, Crashed

from helios.errors import RequestError
from helios.processes.tree import end_commands_of
from tasks.page.webhook import open_webhook, with_turn
from tasks.prefect_api.api import BATCH_FLOW_NAME, ENCODE_FLOW_NAME, FLOW_NAME, PAGE, each, of_run
from tasks.prefect_api.states import ACTIVE_TYPES, is_suspended, job_state
from tasks.run.errors import JOB_CANCELLED
from tasks.run.liveness import OWNER_SILENT
from tasks.run.lock import all_locks, remove_lock, shows_life
from tasks.run.lock_owner import LockOwner

EVENTS_SECONDS = 2.0
"""Seconds after which a dead process's last events are in the server's database."""
_LOGGER = logging.getLogger(__name__)
_JOBS_AND_BATCHES = FlowFilter(name=FlowFilterName(any_=[FLOW_NAME, BATCH_FLOW_NAME, ENCODE_FLOW_NAME]))
_ACTIVE = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ACTIVE_TYPES))))
_UNFINISHED = TaskRunFilter(
    state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
)


async def mark_dead_runs(client: PrefectClient) -> list[FlowRun]:
    """Mark every run whose process is gone as crashed, and its chunks; end what it left running on this machine.

    Returns:
        The runs.
    """

    async def read(offset: int) -> list[FlowRun]:
        return await client.read_flow_runs(
            flow_filter=_JOBS_AND_BATCHES, flow_run_filter=_ACTIVE, limit=PAGE, offset=offset
        )

    runs = [run async for run in each(read)]
    holds = {holder.run_id: (number, holder, renewed) for number, holder, renewed in await all_locks(client)}
    active = {str(run.id) for run in runs}
    for left, gone, _ in holds.values():
        if gone.is_gone and gone.run_id not in active:
            await remove_lock(client, left)  # its process died before it could release the lock
    if not runs:
        return []
    now = await _server_time(client)
    dead: dict[UUID, FlowRun] = {}
    for run in runs:
        number, holder, renewed = holds.get(str(run.id), (None, None, run.state.timestamp if run.state else now))
        if await _is_dead(client, run, number, holder, silence=now - renewed) and await _mark(client, run, holder):
            dead[run.id] = run
            if number is not None:
                await remove_lock(client, number)
    if dead:
        await asyncio.sleep(EVENTS_SECONDS)
    for run_id in dead:
        found = await client.read_flow_run(run_id)
        if found.state is not None and found.state.is_final():  # else it is resumed, and ends its task runs itself
            await _crash_task_runs(client, run_id, found.state.message or "")
    return list(dead.values())


async def _is_dead(
    client: PrefectClient, run: FlowRun, number: str | None, holder: LockOwner | None, *, silence: timedelta
) -> bool:
    if holder is None or number is None:
        # The run had no lock yet, or has released it; or it is suspended.
        return silence > OWNER_SILENT and not is_suspended(run.state)
    if holder.is_here:
        return holder.is_gone
    return silence > OWNER_SILENT and not await shows_life(client, number, holder)


async def _mark(client: PrefectClient, run: FlowRun, holder: LockOwner | None) -> bool:
    """Set a run's last state, unless another process has it by now; return whether the state was set."""
    who = f"Process {holder.pid} on {holder.host}" if holder else "The process"
    what = "batch" if "table" in run.parameters else "job"
    message = f"{who}, which rendered this {what}, died; helios-job resume {run.id} goes on"
    if holder is not None and holder.is_here:
        await end_commands_of(holder.owner)
    found = await client.read_flow_run(run.id)
    if found.state is None or run.state is None or found.state.id != run.state.id:
        return False  # it was resumed meanwhile
    was_to_stop = run.state.type is StateType.CANCELLING
    ended: State[None] = Cancelled(message=JOB_CANCELLED) if was_to_stop else Crashed(message=message)
    # Not by force: the server refuses it to a run that has ended meanwhile.
    result = await client.set_flow_run_state(run.id, ended)
    if result.status is not SetStateStatus.ACCEPT:
        return False
    await _tell_webhook(client, run, ended)
    return True


async def _tell_webhook(client: PrefectClient, run: FlowRun, ended: State[None]) -> None:
    """Send a run's crash to its webhook in place of the process that died."""
    given = run.parameters
    with suppress(RequestError):  # the secret is not on this machine
        webhook = await open_webhook(
            given.get("webhook"), secret=given.get("webhook_secret"), data=given.get("webhook_data")
        )
        if webhook is not None:
            webhook = await with_turn(webhook, client, run)
            await webhook.send_end(run, job_state(ended), ended.message or "", log=_LOGGER, pauses=())


async def _crash_task_runs(client: PrefectClient, run_id: UUID, message: str) -> None:
    wanted = of_run(run_id)
    while page := await client.read_task_runs(flow_run_filter=wanted, task_run_filter=_UNFINISHED, limit=PAGE):
        for task_run in page:
            await client.set_task_run_state(task_run.id, Crashed(message=message), force=True)


async def _server_time(client: PrefectClient) -> datetime:
    """The time by the server's clock, which also dates the records in its database."""
    date = (await client.request("GET", "/version")).headers.get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
