"""Runs of jobs and batches, as Prefect has them: find, cancel, pause, resume, retry, delete. No store of our own.

The public functions over it are those of the package `farm`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum, auto
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Cancelling

from helios.errors import RequestError
from helios.models.report import RunState
from tasks.prefect_api.api import ABOVE_JOBS, RENDER_JOBS
from tasks.prefect_api.result_storage import check_result_storage
from tasks.prefect_api.states import ENDED, job_state, paused, state_filter, to_be_resumed
from tasks.run.errors import JOB_CANCELLED
from tasks.run.liveness import START_PATIENCE
from tasks.run.lock import all_locks, shows_life
from tasks.run.lock_owner import LockOwner
from tasks.run.priority import weight_of
from tasks.run.progress import Progress
from tasks.run.submitter import submitter_of

CLOCKS_DIFFER = timedelta(minutes=1)
"""Tolerance for clock skew: a run that is due within this time is not shown as planned."""


class Resumed(Enum):
    """How a run goes on."""

    CONTINUED = auto()
    """Its process, which was paused, was told to continue."""
    SCHEDULED = auto()
    """A Prefect worker will start a process."""
    HERE = auto()
    """It has no deployment, and so no worker: the calling process carries it out."""


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    run: FlowRun
    """Prefect's flow run."""
    state: RunState
    """Where it stands."""
    holder: LockOwner | None = None
    """Its process, if one is known."""
    progress: Progress | None = None
    """How far it is, in lists of runs; None where it has not begun to render, and elsewhere."""
    is_batch: bool = False
    """Whether it is a batch's run, with those of its rows below it."""
    is_encode: bool = False
    """Whether it is an encode's run, with that of its job below it."""

    @property
    def id(self) -> str:
        """The run's id, which names it everywhere."""
        return str(self.run.id)

    @property
    def name(self) -> str:
        """The run's name, for people; several runs may have it."""
        return self.run.name

    @property
    def weight(self) -> int:
        """Its share of slots that other runs want too, in relation to theirs."""
        return weight_of(self.run.tags, queue=self.run.work_queue_name)

    @property
    def submitted_by(self) -> str | None:
        """Who asked for it, as in `anna@render-7`; None for a schedule's run, and for one of a form in Prefect's UI."""
        return submitter_of(self.run.tags)

    @property
    def message(self) -> str:
        """The message of its state, in a line; for a planned run, the time that it is planned for."""
        state = self.run.state
        if state is None:
            return ""
        when = state.state_details.scheduled_time
        if state.type is StateType.SCHEDULED and when is not None and when > datetime.now(UTC) + CLOCKS_DIFFER:
            return f"planned for {when.astimezone():%Y-%m-%d %H:%M}"
        return (state.message or "").partition("\n")[0]


class Order(StrEnum):
    """How runs are listed."""

    NEWEST = "newest"
    """By the time at which they began, or are to begin, the latest first."""
    OLDEST = "oldest"
    """The other way round."""
    ENDED = "ended"
    """By their end, the latest first; runs that have not ended come last."""
    NAME = "name"
    """By their names."""


_SORT = {
    Order.NEWEST: FlowRunSort.EXPECTED_START_TIME_DESC,
    Order.OLDEST: FlowRunSort.EXPECTED_START_TIME_ASC,
    Order.ENDED: FlowRunSort.END_TIME_DESC,
    Order.NAME: FlowRunSort.NAME_ASC,
}


async def list_runs(
    client: PrefectClient,
    *,
    states: Collection[RunState] = (),
    name: str | None = None,
    order: Order = Order.NEWEST,
    planned: bool = False,
    limit: int = 20,
    offset: int = 0,
) -> list[RunStatus]:
    """Runs of jobs.

    Args:
        client: Prefect's.
        states: List runs in these states; by default in any state.
        name: List runs with this text in their names.
        order: The order of the list.
        planned: Also list runs that schedules have planned for later.
        limit: List at most this many runs, 1 to 200, which is Prefect's own limit.
        offset: Leave out this many runs before them.
    """
    begun = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) + CLOCKS_DIFFER)
    wanted = FlowRunFilter(
        state=state_filter(states) if states else None,
        name=FlowRunFilterName(like_=name) if name else None,
        expected_start_time=None if planned else begun,
    )
    runs = await client.read_flow_runs(
        flow_filter=RENDER_JOBS, flow_run_filter=wanted, sort=_SORT[order], limit=limit, offset=offset
    )
    holders = await _holders(client)
    return [RunStatus(run, job_state(run.state), holders.get(str(run.id))) for run in runs]


async def find_run(client: PrefectClient, name: str) -> RunStatus:
    """A run by its id, or by its name.

    Raises:
        RequestError: There is none, or there are several of that name.
    """
    run = await one_run(client, name, flow=RENDER_JOBS)
    if run is None:
        raise RequestError(f"There is no run {name!r}; helios-job list shows those that there are")
    return await _status(client, run)


async def find_job_or_batch(client: PrefectClient, name: str) -> RunStatus:
    """A run of a job, of a batch or of an encode, by its id or by its name.

    Raises:
        RequestError: There is none, or there are several of that name.
    """
    above = await one_run(client, name, flow=ABOVE_JOBS)
    if above is None:
        return await find_run(client, name)
    is_batch = "table" in above.parameters
    return replace(await _status(client, above), is_batch=is_batch, is_encode=not is_batch)


async def _status(client: PrefectClient, run: FlowRun) -> RunStatus:
    return RunStatus(run, job_state(run.state), (await _holders(client)).get(str(run.id)))


async def one_run(client: PrefectClient, name: str, *, flow: FlowFilter) -> FlowRun | None:
    """A run of a flow by its id, or by its name; None if there is none.

    Raises:
        RequestError: There are several of that name.
    """
    try:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(name)]))
    except ValueError:
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
    found = await client.read_flow_runs(flow_filter=flow, flow_run_filter=wanted, limit=10)
    if len(found) > 1:
        ids = ", ".join(str(run.id) for run in found)
        raise RequestError(f"There are several runs {name!r}; name one by its id: {ids}")
    return found[0] if found else None


async def cancel_run(client: PrefectClient, status: RunStatus) -> None:
    """Stop a run: its process ends its chunks and itself. A run without a process is cancelled at once.

    Raises:
        RequestError: It has ended.
    """
    if status.state in ENDED:
        raise RequestError(f"The run {status.run.name} is {status.state} already; there is nothing to cancel")
    has_process = await is_alive(client, status)
    state: State[None] = Cancelling() if has_process else Cancelled(message=JOB_CANCELLED)
    await client.set_flow_run_state(status.run.id, state, force=not has_process)


async def pause_run(client: PrefectClient, status: RunStatus) -> None:
    """Let a run's chunks in flight finish, and start nothing new.

    Raises:
        RequestError: It does not run.
    """
    result = await client.set_flow_run_state(status.run.id, paused())
    if result.status is not SetStateStatus.ACCEPT:
        raise RequestError(f"The run {status.run.name} is {status.state}; only a run that renders can be paused")


async def resume_run(client: PrefectClient, status: RunStatus) -> Resumed:
    """Let a run go on where it stopped, whatever stopped it.

    Raises:
        RequestError: It runs, or waits for a worker; or it would be carried out here, and its results can't be kept.
    """
    run = status.run
    if await is_alive(client, status):
        if status.state is not RunState.PAUSED:
            raise RequestError(f"There is nothing to resume: {status.holder} is {status.state}")
        await client.resume_flow_run(run.id)
        return Resumed.CONTINUED
    if status.state is RunState.PENDING and run.deployment_id is not None and not _is_stranded(run):
        raise RequestError(f"The run {run.name} waits for a worker already")
    if run.deployment_id is None:
        await check_result_storage(client)
    await client.set_flow_run_state(run.id, to_be_resumed(), force=True)
    return Resumed.SCHEDULED if run.deployment_id is not None else Resumed.HERE


async def retry_run(client: PrefectClient, status: RunStatus) -> Resumed:
    """Run a run that has ended once more, as Retry in Prefect's UI does: accepted chunks are reused.

    Raises:
        RequestError: It has not ended.
    """
    if status.state not in ENDED:
        raise RequestError(f"The run {status.run.name} is {status.state}; only one that has ended can be retried")
    return await resume_run(client, status)


def _is_stranded(run: FlowRun) -> bool:
    """Whether a worker took a run a while ago, and its process has not shown itself: the worker may have died."""
    state = run.state
    if state is None or state.type is not StateType.PENDING:
        return False
    return datetime.now(UTC) - state.timestamp > START_PATIENCE


async def _holders(client: PrefectClient) -> dict[str, LockOwner]:
    return {holder.run_id: holder for _, holder, _ in await all_locks(client)}


async def is_alive(client: PrefectClient, status: RunStatus) -> bool:
    """Whether a run has a process; a process on another machine is watched for a while."""
    holder = status.holder
    if holder is None or holder.is_gone:
        return False
    if holder.is_here:
        return True
    ids = {found.run_id: number for number, found, _ in await all_locks(client)}
    return holder.run_id in ids and await shows_life(client, ids[holder.run_id], holder)
