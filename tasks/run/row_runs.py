"""The runs of a batch's rows, or of an encode's job: made, found again, carried out, and paused with the run above.

A row's run is made here, and not by calling the flow, so that it has the row's name from its beginning, and so that a
batch that goes on after its process died finds each row's run again: Prefect counts the calls of a flow, and would take
the first row that is left for the first row of all.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterParentTaskRunId,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.flow_engine import run_flow
from prefect.states import Pending
from prefect.tasks import Task

from helios.models.report import RunState
from tasks.prefect_api.api import PAGE, UNREACHABLE, RunApi, each
from tasks.prefect_api.one_try import one_try
from tasks.prefect_api.states import job_state, paused, to_be_resumed
from tasks.run.supervision import POLL_SECONDS


class RowRuns:
    """The runs below a batch's run.

    Args:
        flow: The flow of a row's job.
        batch_id: The batch's run.
        batch_name: Its name, which begins those of its rows' runs.
        api: Prefect's API.
    """

    def __init__(self, flow: Flow[Any, Any], batch_id: UUID, *, batch_name: str, api: RunApi) -> None:
        self._flow, self._batch_id, self._batch_name, self._api = flow, batch_id, batch_name, api
        self._underway: set[UUID] = set()

    async def open(self, row: int | None, parameters: Mapping[str, Any]) -> FlowRun:
        """The run of a row: the one that this batch's run has made for the row's document, or a new one.

        It can be repeated, also where only the answer of the API was lost.

        Args:
            row: The row's number; None for an encode's one job.
            parameters: The flow's; `job` is the path of the row's document, whose name is a digest of its content.
        """
        client, document = self._api.client, PurePath(str(parameters["job"])).stem
        what = "job" if row is None else f"row-{row}"
        # What Prefect has in a parent run for a run below it. The server makes it once for each key.
        placeholder = await client.create_task_run(
            Task(name=self._flow.name, fn=self._flow.fn, version=self._flow.version),
            flow_run_id=self._batch_id,
            dynamic_key=f"{what}-{document}",
            name=what,
            state=Pending(),
        )
        below = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[placeholder.id]))
        for found in await client.read_flow_runs(flow_run_filter=below, limit=1):
            return found
        return await client.create_flow_run(
            self._flow,
            name=f"{self._batch_name}-{what}",
            parameters=self._flow.serialize_parameters(dict(parameters)),
            parent_task_run_id=placeholder.id,
            state=Pending(),
        )

    async def carry_out(self, run: FlowRun, parameters: Mapping[str, Any]) -> State[Any]:
        """Carry a row's run out, or let it go on where an earlier process stopped; return its last state.

        It can be repeated: a run that has completed is left alone.
        """
        state = (await self._api.client.read_flow_run(run.id)).state
        if state is not None and state.type is StateType.COMPLETED:
            return state
        if state is None or state.type is not StateType.PENDING:
            await self._api.client.set_flow_run_state(run.id, to_be_resumed(), force=True)
        with self._counted(run.id):
            going_on = run_flow(self._flow, flow_run=run, parameters=dict(parameters), return_type="state")
            return cast(State[Any], await cast(Any, going_on))

    @contextmanager
    def _counted(self, run_id: UUID) -> Iterator[None]:
        self._underway.add(run_id)
        try:
            yield
        finally:
            self._underway.discard(run_id)

    async def pause_with_batch(self, gate: asyncio.Event) -> None:
        """Pause the rows that run while the batch's gate is closed, and continue them once it is open; until cancelled.

        A row is paused once in each pause of the batch: a person may let a single row go on.
        """
        held = set[UUID]()
        with one_try():  # the next look is the retry
            while True:
                await asyncio.sleep(POLL_SECONDS)
                for run_id in self._underway - held if not gate.is_set() else frozenset(held):
                    with suppress(*UNREACHABLE):
                        await (self._continue(run_id, held) if gate.is_set() else self._pause(run_id, held))

    async def _pause(self, run_id: UUID, held: set[UUID]) -> None:
        answer = await self._api.client.set_flow_run_state(run_id, paused())
        if answer.status is SetStateStatus.ACCEPT:
            held.add(run_id)

    async def _continue(self, run_id: UUID, held: set[UUID]) -> None:
        state = (await self._api.client.read_flow_run(run_id)).state
        if state is not None and state.type is StateType.PAUSED:
            await self._api.client.resume_flow_run(run_id)
        held.discard(run_id)


async def completed_documents(api: RunApi, batch_id: UUID) -> frozenset[str]:
    """The documents whose jobs the rows of a batch's run have completed."""
    runs = rows_of(api, batch_id)
    return frozenset(
        [str(run.parameters.get("job")) async for run in runs if job_state(run.state) is RunState.COMPLETED]
    )


async def rows_of(api: RunApi, batch_id: UUID) -> AsyncIterator[FlowRun]:
    """Read the runs below a batch's run."""
    below = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[batch_id]))
    async for run in each(lambda offset: api.client.read_flow_runs(flow_run_filter=below, limit=PAGE, offset=offset)):
        yield run
