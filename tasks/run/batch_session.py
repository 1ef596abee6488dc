"""The locked, supervised session of one run that has runs of jobs below it: a batch's, or an encode's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled, Crashed, Failed

from helios.models.report import RunState
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.run.control import RunControl
from tasks.run.dead_run_automation import ensure_automation
from tasks.run.hand_over import ensure_hand_overs
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from tasks.run.own_lock import acquire, release
from tasks.run.supervision import Supervisor


@asynccontextmanager
async def batch_session(
    api: RunApi,
    control: RunControl,
    *,
    run_id: str,
    run_name: str,
    kind: str = "batch",
    may_be_handed_over: bool = False,
) -> AsyncIterator[None]:
    """Hold the lock on such a run within the block, and follow the run's state in Prefect.

    The lock shows which process carries the run out, and that it lives: a process that died is noticed by the same
    signs as that of a job.

    Args:
        api: Prefect's API.
        control: What asks the run to pause, to go on, or to stop.
        run_id: The run.
        run_name: Its name.
        kind: Of the run, for the lock's name.
        may_be_handed_over: Whether the server may give the run to another worker.

    Raises:
        Abort: This very run goes on in another process.
    """
    lock = JobLock(api, f"{kind}-{run_id}", LockOwner.this_process(job=run_name, run_id=run_id, run_name=run_name))
    await acquire(lock, api)
    try:
        with suppress(*UNREACHABLE):
            await asyncio.gather(ensure_automation(api.client), ensure_hand_overs(api.client))
        async with Supervisor(control, lock, api, may_be_handed_over=may_be_handed_over).watching():
            yield
    finally:
        await release(lock, api)


def stopped_batch(control: RunControl, data: Callable[[str], Exception]) -> State[Any]:
    """The last state of such a run that was stopped.

    Args:
        control: What stopped it.
        data: Makes the state's data of the reason.

    Raises:
        Abort: The run goes on in another process.
    """
    reason = control.stop_reason
    if control.is_passed_on:
        raise Abort(reason)
    ends = {RunState.CRASHED: Crashed, RunState.FAILED: Failed}.get(control.ends_as, Cancelled)
    return ends(message=reason, data=data(reason))
