"""Carry a batch out in this process, as `farm.here` carries out a job."""

import asyncio
import signal
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, cast

from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogHandler

from farm.here import SIGNALS, cancelled_by, cancelled_without_server, create_run, interrupted, until_ended
from flows.batch import LISTENER, BatchEndedError, render_batch
from helios.models.batch import BatchReport, RowResult
from helios.models.report import RunState
from tasks.prefect_api import own_server
from tasks.prefect_api.client import api_client
from tasks.prefect_api.states import job_state


class BatchOutcome(NamedTuple):
    """How a batch ended."""

    run_id: str
    """Its flow run."""
    state: RunState
    """Completed if each row's job is."""
    message: str
    """Why it ended like that."""
    report: BatchReport | None
    """What became of its rows; None where nothing was begun, and of a cancelled batch."""


Tell = Callable[[RowResult], None]
"""Called with each row that has ended."""


async def create_batch(parameters: dict[str, Any]) -> FlowRun:
    """Make a batch's run, as `create_run` makes a job's."""
    return await create_run(parameters, render_batch)


def carry_out_batch(run: FlowRun, parameters: dict[str, Any], *, tell: Tell) -> BatchOutcome:
    """Carry a batch's run out in an event loop of its own; Ctrl-C and SIGTERM cancel its jobs.

    It must be called in the main thread, since it handles signals, and with a Prefect API at hand.

    Args:
        run: The flow run.
        parameters: The flow's; Prefect's own copy has masked secrets.
        tell: Called with each row that has ended.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(_carry_out(run, parameters, tell, signals=SIGNALS))
    except (TerminationSignal, KeyboardInterrupt):
        return asyncio.run(_stopped(run))
    finally:
        signal.signal(signal.SIGTERM, before)


async def carry_out_rows(run: FlowRun, parameters: dict[str, Any]) -> BatchOutcome:
    """Carry a batch's run out in the caller's event loop; cancelling the awaiting task cancels its jobs.

    Args:
        run: The flow run.
        parameters: The flow's; Prefect's own copy has masked secrets.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    outcome = await _carry_out(run, parameters, lambda _: None, signals=())
    if task and task.cancelling() > before:  # the flow swallowed the cancellation
        raise asyncio.CancelledError
    return outcome


async def _carry_out(
    run: FlowRun, parameters: dict[str, Any], tell: Tell, *, signals: Collection[signal.Signals]
) -> BatchOutcome:
    LISTENER.set(tell)
    going_on = run_flow(cast(Any, render_batch), flow_run=run, parameters=parameters, return_type="state")
    flow: asyncio.Task[State[Any]] = asyncio.create_task(cast(Any, going_on))
    with cancelled_by(signals, flow), cancelled_without_server(flow):
        try:
            state = await flow
        except asyncio.CancelledError:
            if own_server.is_gone():
                return BatchOutcome(str(run.id), RunState.CRASHED, own_server.GONE, None)
            return await _stopped(run)
    if not state.is_final():
        return await _stopped(run)
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, BatchEndedError) else result
    report = report if isinstance(report, BatchReport) else None
    await APILogHandler.aflush()
    for row in report.rows if report else ():
        await _until_recorded(row)
    return BatchOutcome(str(run.id), job_state(state), state.message or "", report)


async def _until_recorded(row: RowResult) -> None:
    """Wait for the records of a row's chunks, which a server that ends with this process would lose."""
    if row.run_id is not None and row.state is RunState.COMPLETED:
        async with api_client() as client:
            await until_ended(client, row.run_id, row.chunks)


async def _stopped(run: FlowRun) -> BatchOutcome:
    outcome = await interrupted(run)
    return BatchOutcome(str(run.id), outcome.state, outcome.message, None)
