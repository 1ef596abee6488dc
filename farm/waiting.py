"""Why a run that is to begin has not begun, and how to fix it."""

from datetime import UTC, datetime

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

SLOT = "AwaitingConcurrencySlot"
"""Prefect's name of the state of a run that waits for its deployment's limit."""


async def why_waiting(client: PrefectClient, run: FlowRun) -> str | None:
    """What a run waits for; None for a run that does not wait, and where the reason is not known."""
    state = run.state
    if state is None or state.type is not StateType.SCHEDULED or run.deployment_id is None:
        return None
    when = state.state_details.scheduled_time
    if state.name != SLOT and when is not None and when > datetime.now(UTC):
        return None  # its time has not come
    try:
        deployment = await client.read_deployment(run.deployment_id)
    except ObjectNotFound:
        return "its deployment was deleted; submit the job again"
    if state.name == SLOT and (limit := deployment.global_concurrency_limit) is not None:
        return f"its deployment, {deployment.name}, runs {limit.limit} at a time, and is at that"
    pool, queue = run.work_pool_name, run.work_queue_name
    if pool is None:
        return None
    if (await client.read_work_pool(pool)).is_paused:
        return f"the work pool {pool} is paused; prefect work-pool resume {pool}"
    if queue is not None and (await client.read_work_queue_by_name(queue, work_pool_name=pool)).is_paused:
        return f"the work queue {queue} is paused; prefect work-queue resume {queue} --pool {pool}"
    there = [worker for worker in await client.read_workers_for_work_pool(pool) if worker.status == "ONLINE"]
    if not there:
        return f"no worker of the pool {pool} is there; helios-job worker --pool {pool} is one"
    return f"a worker of the pool {pool} with room for it; {len(there)} there"
