"""The workers that carry out runs of deployments: who they are, and what each does now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.client.schemas.objects import WorkerStatus as PrefectStatus

from farm.queries import list_runs
from farm.runs import RunStatus
from helios.models.report import RunState

WORKER_LABEL = "prefect.worker.name"
"""Prefect's label of a run that a worker has taken."""
KNOWN_FOR = timedelta(days=1)
"""A worker that is gone is told of for so long."""
MOST_RUNS = 200
"""Runs of a kind that are looked at: Prefect's own limit of a page."""
LIVE = (RunState.RUNNING, RunState.STITCHING, RunState.PAUSED)


@dataclass(frozen=True)
class WorkerStatus:
    """A worker."""

    name: str
    """Its name."""
    pool: str
    """Its work pool."""
    is_online: bool
    """Whether it has been heard of lately."""
    seen: datetime | None
    """When it was heard of last; None if never."""
    runs: tuple[RunStatus, ...]
    """The jobs that it renders now."""


async def list_workers(client: PrefectClient, live: Sequence[RunStatus] | None = None) -> list[WorkerStatus]:
    """The workers of all pools of processes, those that are online first; others only if they were seen in a day.

    Args:
        client: Prefect's.
        live: The runs that render now; they are listed when None.
    """
    live = await list_runs(states=LIVE, limit=MOST_RUNS, client=client) if live is None else live
    theirs: dict[str, list[RunStatus]] = {}
    for status in live:
        if name := status.run.labels.get(WORKER_LABEL):
            theirs.setdefault(str(name), []).append(status)
    found = []
    for pool in await client.read_work_pools(work_pool_filter=WorkPoolFilter()):
        if pool.type != "process":
            continue
        for worker in await client.read_workers_for_work_pool(pool.name):
            is_online = worker.status is PrefectStatus.ONLINE
            seen = worker.last_heartbeat_time
            if is_online or (seen is not None and datetime.now(UTC) - seen < KNOWN_FOR):
                runs = theirs.get(worker.name, []) if is_online else []
                found.append(WorkerStatus(worker.name, pool.name, is_online, seen, tuple(runs)))
    return sorted(found, key=lambda worker: (not worker.is_online, worker.name))


async def free_name(client: PrefectClient, pool: str, name: str, *, pid: int) -> str:
    """A name for a worker that no other one of its pool has now: the given one, else with the process id.

    Args:
        client: Prefect's.
        pool: The pool.
        name: The name that is wanted: the machine's.
        pid: The process that asks.
    """
    workers = await client.read_workers_for_work_pool(pool)
    online = {worker.name for worker in workers if worker.status is PrefectStatus.ONLINE}
    return f"{name}-{pid}" if name in online else name
