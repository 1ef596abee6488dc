"""A run that is resumed right after its suspension has two processes for a while; its job has one at a time."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import Abort
from prefect.states import Cancelled, Pending

from farm.here import start_flow
from flows.render import render_job
from tasks.prefect_api.api import RunApi
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from testbed.jobs import make_job, write_job
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("prefect_api")


@asynccontextmanager
async def held_by_earlier_process(
    folder: Path, job_id: str, *, suspended: bool = False
) -> AsyncIterator[tuple[PrefectClient, FlowRun, JobLock]]:
    """Create a run, and hold its job's lock as an earlier process of it, until the end of the block at the latest."""
    path = write_job(folder, make_job([5] * 2, id=job_id))
    key = f"{job_id}-{hashlib.sha256(job_id.encode()).hexdigest()[:12]}"
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters={"job": str(path)}, state=Pending())
        owner = LockOwner.this_process(job=job_id, run_id=str(run.id), run_name="run-elsewhere")
        lock = JobLock(RunApi(client, logging.getLogger(__name__)), key, owner.model_copy(update={"owner": "nobody-"}))
        await lock.acquire()
        if suspended:
            await lock.suspend()
        yield client, run, lock
        await lock.release()


async def test_the_second_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    """The second process goes on when the first, suspended process has released the job's lock."""
    async with held_by_earlier_process(tmp_path, "resumed-at-once", suspended=True) as (client, run, lock):
        work = asyncio.create_task(start_flow(run, run.parameters))
        own = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))

        async def is_waiting() -> bool:
            assert not work.done(), work.result()
            return any("earlier process, run run-elsewhere" in line.message for line in await client.read_logs(own))

        await eventually(is_waiting)
        await lock.release()
        state = await work
    assert state.is_completed(), state.message


async def test_the_second_ends_where_the_first_goes_on(tmp_path: Path) -> None:
    """Where the first process goes on, the second aborts and leaves the run's state alone."""
    async with held_by_earlier_process(tmp_path, "goes-on") as (client, run, _):
        with pytest.raises(Abort, match="is being rendered by run run-elsewhere"):
            await start_flow(run, run.parameters)
        assert (await client.read_flow_run(run.id)).state_type is StateType.RUNNING
        await client.set_flow_run_state(run.id, Cancelled(), force=True)
