"""The locked, supervised session of one run of a batch."""

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
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from tasks.run.own_lock import acquire, release
from tasks.run.supervision import Supervisor


@asynccontextmanager
async def batch_session(api: RunApi, control: RunControl, *, run_id: str, run_name: str) -> AsyncIterator[None]:
    """Hold the lock on a batch's run within the block, and follow the run's state in Prefect.

    The lock shows which process carries the run out, and that it lives: a process that died is noticed by the same
    signs as that of a job.

    Args:
        api: Prefect's API.
        control: What asks the batch to pause, to go on, or to stop.
        run_id: The batch's run.
        run_name: Its name.

    Raises:
        Abort: This very run goes on in another process.
    """
    lock = JobLock(api, f"batch-{run_id}", LockOwner.this_process(job=run_name, run_id=run_id, run_name=run_name))
    await acquire(lock, api)
    try:
        with suppress(*UNREACHABLE):
            await ensure_automation(api.client)
        async with Supervisor(control, lock, api).watching():
            yield
    finally:
        await release(lock, api)


def stopped_batch(control: RunControl, data: Callable[[str], Exception]) -> State[Any]:
    """The last state of a batch that was stopped.

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
