"""Scheduled runs missed because no worker was online: they are marked, and not rendered hours late all at once.

Prefect plans a few runs of each schedule ahead. Runs that were planned for a time without a worker stay Late, and
the next worker that comes would start all of them. Runs that Prefect did not plan, because its server was down for
long, would not be shown at all.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.server.schemas.schedules import CronSchedule
from prefect.states import Cancelled

from farm.deployments import list_deployments
from tasks.request.scheduled_time import is_scheduled

MISSED = "Missed"
"""Name of the state; to Prefect it is Cancelled."""
LATE = timedelta(minutes=15)
"""A run that is later than this was missed."""
TAG = "missed"
"""Tag of runs that were never planned."""
MOST = 10
"""The number of runs of each schedule that are shown although they were never planned: the last ones."""


async def mark_missed_runs(client: PrefectClient, pool: str) -> list[FlowRun]:
    """Mark the runs that schedules planned for a time at which a pool had no worker; return them.

    Called when a worker begins. If another worker of the pool is online, no run was missed: that worker is busy.
    """
    if any(worker.status == "ONLINE" for worker in await client.read_workers_for_work_pool(pool)):
        return []
    now = datetime.now(UTC)
    late = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=now - LATE),
    )
    of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    planned = [
        run
        for run in await client.read_flow_runs(flow_run_filter=late, work_pool_filter=of_pool, limit=200)
        if is_scheduled(run) and run.run_count == 0
    ]
    for run in planned:
        await client.set_flow_run_state(run.id, _missed(run.expected_start_time or now, str(run.id)), force=True)
    unplanned = [
        run
        for _, deployment in await list_deployments(client)
        if deployment.work_pool_name == pool and not deployment.paused
        for run in await _record_unplanned(client, deployment, now)
    ]
    return planned + unplanned


async def _record_unplanned(client: PrefectClient, deployment: DeploymentResponse, now: datetime) -> list[FlowRun]:
    """Make a run for each time of a deployment's schedules since its last run for which Prefect made none."""
    made: list[FlowRun] = []
    for schedule in deployment.schedules:
        if not schedule.active or not hasattr(schedule.schedule, "cron"):
            continue
        last = await _last_planned(client, deployment, now)
        if last is None:
            continue
        cron = CronSchedule.model_validate(schedule.schedule.model_dump())
        for when in await _dates(cron, last + timedelta(seconds=1), now - LATE):
            run = await client.create_flow_run_from_deployment(
                deployment.id,
                state=_missed(when),
                name=f"missed-{when:%Y%m%d-%H%M}",
                tags=[TAG],
                idempotency_key=f"missed-{schedule.id}-{when.isoformat()}",
            )
            made.append(run)
    return made


async def _dates(cron: CronSchedule, start: datetime, end: datetime) -> Sequence[datetime]:
    """The last times of a schedule in a range."""
    found: list[datetime] = []
    while start < end:
        page = await cron.get_dates(n=100, start=start, end=end)
        if not page:
            break
        found, start = (found + list(page))[-MOST:], page[-1] + timedelta(seconds=1)
    return found


async def _last_planned(client: PrefectClient, deployment: DeploymentResponse, now: datetime) -> datetime | None:
    """The planned time, in the past, of the deployment's latest run that a schedule, or this module, made.

    A server that has just started has planned the coming runs already: they don't say what was missed.
    """
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=now)),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=50,
    )
    times = [run.expected_start_time for run in runs if is_scheduled(run) or TAG in run.tags]
    return max((time for time in times if time is not None), default=None)


def _missed(when: datetime, run: str = "RUN") -> State[None]:
    planned = f"{when.astimezone():%Y-%m-%d %H:%M}"
    message = f"No worker was there at {planned}; not rendered. helios-job retry {run} renders it now"
    return Cancelled(name=MISSED, message=message, state_details=StateDetails(scheduled_time=when))
