"""Run the flow in this process: stopped in order by Ctrl-C, over when its last states are recorded."""

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

# A render does not report home: neither the server that it starts, nor Prefect's client here.
os.environ.setdefault("DO_NOT_TRACK", "1")
# On a terminal the bar has the screen: what must be read comes through it.
if sys.stderr.isatty():
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

import click
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import TERMINAL_STATES, State
from prefect.exceptions import TerminationSignal
from prefect.logging.handlers import APILogHandler

from cli.bar import watched
from cli.server import prefect_server
from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.job_run import JobEndedError

RECORD_SECONDS = 60.0
"""How long to wait until the last states are in an embedded server's database."""

Outcome = tuple[RunState, str, JobReport | None]


def run_flow(request: dict[str, Any], *, title: str) -> Outcome:
    """Run `render-job` and wait for its end.

    Args:
        request: The flow's parameters.
        title: What the bar says.

    Returns:
        How it ended, why if not well, and the report if it got as far as that.
    """
    if sys.stderr.isatty():
        click.echo("Starting Prefect …", err=True)
    with prefect_server() as own_ui:
        if own_ui and sys.stderr.isatty():
            click.echo(f"Prefect's UI, while the job runs: {own_ui}/runs", err=True)
        try:
            outcome = asyncio.run(_run(request, title=title, embedded=own_ui is not None))
        except TerminationSignal:
            # SIGTERM before the flow's code has begun, or after its end: Prefect raises it through the event loop.
            outcome = (RunState.CANCELLED, "The job was cancelled by SIGTERM", None)
    if own_ui and (report := outcome[2]):
        address = f"http://127.0.0.1:4200/runs/flow-run/{report.run_id}"
        prefect = shutil.which("prefect") or Path(sys.executable).with_name("prefect")
        click.echo(f"To look at this run in Prefect's UI: {prefect} server start, then open {address}", err=True)
    return outcome


async def _run(request: dict[str, Any], *, title: str, embedded: bool) -> Outcome:
    with watched(title) as watcher:
        flow = asyncio.create_task(_flow(request))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, flow.cancel)
        try:
            state = await flow
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, JobEndedError) else result
    report = report if isinstance(report, JobReport) else None
    if embedded:
        joins = watcher.seen is not None and watcher.seen.phase in {"stitching", "merging"}
        await _recorded(report, joins=int(joins))
    ended = {"COMPLETED": RunState.COMPLETED, "CANCELLED": RunState.CANCELLED}
    return ended.get(state.type.value, RunState.FAILED), state.message or "", report


async def _flow(request: dict[str, Any]) -> State[Any]:
    return await render_job(**request, return_state=True)


async def _recorded(report: JobReport | None, *, joins: int) -> None:
    """Wait until every task run has its last state in the database of a server that ends with this process."""
    await APILogHandler.aflush()
    if report is None:
        return
    started = sum(1 for chunk in report.chunks if chunk.attempts) + joins
    deadline = time.monotonic() + RECORD_SECONDS
    async with get_client() as client:
        while time.monotonic() < deadline:
            if await _count_ended(client, report.run_id) >= started:
                return
            await asyncio.sleep(0.1)
    click.echo(f"Prefect had not recorded every state of run {report.run_id} after {RECORD_SECONDS:g} s", err=True)


async def _count_ended(client: PrefectClient, run_id: str) -> int:
    answer = await client.request(
        "POST",
        "/task_runs/count",
        json={
            "flow_runs": {"id": {"any_": [run_id]}},
            "task_runs": {"state": {"type": {"any_": [state.value for state in TERMINAL_STATES]}}},
        },
    )
    return int(answer.json())
