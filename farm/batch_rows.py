"""A batch's run seen from outside: where its rows stand."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun

from farm.runs import RunStatus, one_run
from tasks.prefect_api.api import PAGE, RENDER_BATCHES, each
from tasks.prefect_api.states import job_state

_ROW = re.compile(r"-row-(\d{1,9})$")
"""What the flow puts at the end of a row's run's name."""


@dataclass(frozen=True)
class RowStatus:
    """Where a row's job stands."""

    row: int | None
    """The row's number; None where its run was given another name."""
    run: RunStatus
    """Its run."""


@dataclass(frozen=True)
class BatchStatus:
    """Where a batch stands."""

    batch: RunStatus
    """The batch's own run."""
    rows: tuple[RowStatus, ...]
    """The rows that have begun, in order."""

    @property
    def counts(self) -> str:
        """How many rows are in which state: `7 completed, 2 running, 1 failed`."""
        states = [row.run.state for row in self.rows]
        return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))


async def find_batch(client: PrefectClient, name: str) -> BatchStatus | None:
    """A batch by its run's id, or by its name; None if there is none.

    Raises:
        RequestError: There are several of that name.
    """
    run = await one_run(client, name, flow=RENDER_BATCHES)
    return None if run is None else BatchStatus(_status(run), await rows_of(client, run))


async def runs_below(client: PrefectClient, above: FlowRun) -> AsyncIterator[FlowRun]:
    """Read the runs of jobs below a batch's run, or an encode's."""
    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[above.id]))
    async for run in each(lambda offset: client.read_flow_runs(flow_run_filter=below, limit=PAGE, offset=offset)):
        yield run


async def rows_of(client: PrefectClient, batch: FlowRun) -> tuple[RowStatus, ...]:
    """The rows of a batch that have begun, in order."""
    runs = runs_below(client, batch)
    rows = [RowStatus(int(found[1]) if (found := _ROW.search(run.name)) else None, _status(run)) async for run in runs]
    return tuple(sorted(rows, key=lambda row: (row.row is None, row.row or 0)))


def _status(run: FlowRun) -> RunStatus:
    return RunStatus(run, job_state(run.state))
