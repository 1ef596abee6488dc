"""Run the flow in this process: stopped in order by Ctrl-C, over when its last states are recorded."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, cast

# A render does not report home: neither the server that it starts, nor Prefect's client here.
os.environ.setdefault("DO_NOT_TRACK", "1")
# On a terminal the bar has the screen: what must be read comes through it.
if sys.stderr.isatty():
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

import click
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogHandler
from prefect.states import Cancelled, Pending

from cli.bar import watched
from farm.server.connect import prefect_server
from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.prefect_api.states import job_state
from tasks.run.errors import JOB_CANCELLED, JobEndedError
from tasks.run.last_states import count_ended

# A line of a log that can't be sent, while Prefect's API is away, is no error to show for each batch.
logging.raiseExceptions = False

RECORD_SECONDS = 60.0
"""How long to wait until the last states are in the server's database."""

Outcome = tuple[RunState, str, JobReport | None]


def run_job(request: dict[str, Any], *, title: str) -> Outcome:
    """Run `render-job` as a new flow run, and wait for its end.

    Args:
        request: The flow's parameters.
        title: What the bar says.

    Returns:
        How it ended, why if not well, and the report if it got as far as that.
    """
    with a_server() as screen:
        outcome = carry_out(asyncio.run(_create(request)), request, title=title)
        screen.show(outcome)
    return outcome


def carry_out(run: FlowRun, parameters: dict[str, Any], *, title: str, ended_before: int = 0) -> Outcome:
    """Carry a flow run out in this process, with a Prefect API at hand; see `run_job`.

    Args:
        run: The flow run.
        parameters: The flow's; Prefect's own copy has masked secrets.
        title: What the bar says.
        ended_before: Task runs that had ended in the run before.
    """
    # Before the flow's code has begun, and after its end, SIGTERM is what Ctrl-C is. Prefect, too, hands it on to the
    # handler that it finds.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(_run(run, parameters, title=title, ended_before=ended_before))
    except (TerminationSignal, KeyboardInterrupt):
        return asyncio.run(_interrupted(run))
    finally:
        signal.signal(signal.SIGTERM, before)


async def start_flow(run: FlowRun, parameters: dict[str, Any]) -> State[Any]:
    """Run the flow for a flow run that exists."""
    # Typed for every kind of flow; of an asynchronous one it is a coroutine.
    going_on = run_flow(cast(Any, render_job), flow_run=run, parameters=parameters, return_type="state")
    return await cast(Coroutine[Any, Any, State[Any]], going_on)


class Screen:
    """Where people can look at a run."""

    path = "/runs"

    def show(self, outcome: Outcome) -> None:
        """Name the run's own page."""
        if outcome[2] is not None:
            self.path = f"/runs/flow-run/{outcome[2].run_id}"


@contextmanager
def a_server() -> Iterator[Screen]:
    """Have a Prefect API within the block, and tell people where its screen is, also once it is gone."""
    screen = Screen()
    is_terminal = sys.stderr.isatty()
    if is_terminal:
        click.echo("Starting Prefect …", err=True)
    with prefect_server() as own:
        if own and is_terminal:
            click.echo(f"Prefect's UI, while the job runs (the link works once): {own.new_link()}", err=True)
        yield screen
    if own:
        address = f"http://127.0.0.1:4200{screen.path}"
        click.echo(f"To look at this run in Prefect's UI: helios-job up, open its link, then {address}", err=True)


async def _create(request: dict[str, Any]) -> FlowRun:
    async with get_client() as client:
        return await client.create_flow_run(render_job, parameters=request, state=Pending())


async def _run(run: FlowRun, parameters: dict[str, Any], *, title: str, ended_before: int) -> Outcome:
    with watched(title) as watcher:
        flow = asyncio.create_task(start_flow(run, parameters))
        loop = asyncio.get_running_loop()
        # SIGTERM too: until the flow's own code has begun, Prefect's handler raises an exception in whatever the signal
        # meets, and in a callback that is lost. The loop's handler is called beside it.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, flow.cancel)
        try:
            state = await flow
        except asyncio.CancelledError:
            return await _interrupted(run)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not state.is_final():
        return await _interrupted(run)
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, JobEndedError) else result
    report = report if isinstance(report, JobReport) else None
    joins = watcher.seen is not None and watcher.seen.phase in {"stitching", "merging"}
    await _recorded(report, expected=ended_before + int(joins))
    return job_state(state), state.message or "", report


async def _interrupted(run: FlowRun) -> Outcome:
    """Say that a run was cancelled whose own code has not begun, and so can't say it."""
    async with get_client() as client:
        state = (await client.read_flow_run(run.id)).state
        if state is None or not state.is_final() or state.is_crashed():
            state = Cancelled(message=JOB_CANCELLED)
            await client.set_flow_run_state(run.id, state, force=True)
    return job_state(state), state.message or "", None


async def _recorded(report: JobReport | None, *, expected: int) -> None:
    """Wait until every task run has its last state in the server's database."""
    await APILogHandler.aflush()
    if report is None:
        return
    expected += sum(1 for chunk in report.chunks if chunk.attempts or chunk.reused)
    deadline = time.monotonic() + RECORD_SECONDS
    async with get_client() as client:
        while time.monotonic() < deadline:
            if await count_ended(client, report.run_id) >= expected:
                return
            await asyncio.sleep(0.2)
    click.echo(f"Prefect had not recorded every state of run {report.run_id} after {RECORD_SECONDS:g} s", err=True)
