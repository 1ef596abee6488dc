"""Carry a run out in this process: it ends in order when it is stopped, and is over when its last states are recorded.

It imports the flow, and with it all that renders; modules that only query runs do not import it.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogHandler
from prefect.states import Cancelled, Pending

from flows.encode import encode
from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.prefect_api import own_server
from tasks.prefect_api.client import api_client
from tasks.prefect_api.result_storage import check_result_storage
from tasks.prefect_api.states import job_state
from tasks.run.errors import JOB_CANCELLED, JobEndedError, JobRefusedError, JobSuspendedError
from tasks.run.last_states import count_ended
from tasks.run.progress import LISTENER, Progress
from tasks.run.submitter import submitted_here

RECORD_SECONDS = 60.0
"""How long to wait until the last states are in the server's database."""
LOOK_SECONDS = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOGGER = logging.getLogger(__name__)

Tell = Callable[[Progress], None]
"""Called in the flow's event loop with the job's counts on every change."""
Warn = Callable[[str], None]
"""Called with a line that a person should read."""


class Outcome(NamedTuple):
    """How a run ended."""

    state: RunState
    """The job's last state."""
    message: str
    """Why it ended like that; if all went well, what was made."""
    report: JobReport | None
    """What became of its chunks; None for a run that ended before it had prepared them."""
    is_refused: bool = False
    """Whether the request can't work, so that nothing ran."""


async def create_run(parameters: dict[str, Any], flow: Flow[Any, Any] = render_job) -> FlowRun:
    """Make a flow run that this process is to carry out.

    Args:
        parameters: The flow's.
        flow: The flow of a job, of an encode, or of a batch.

    Raises:
        RequestError: Its results can't be kept where Prefect is told to keep them.
    """
    async with api_client() as client:
        await check_result_storage(client)
        return await client.create_flow_run(flow, parameters=parameters, state=Pending(), tags=submitted_here())


def _is_encode(run: FlowRun) -> bool:
    return "source" in run.parameters and "job" not in run.parameters


async def start_flow(run: FlowRun, parameters: dict[str, Any]) -> State[Any]:
    """Run the flow for a flow run of a job, or of an encode, that exists; return its last state."""
    # Typed for every kind of flow; of an asynchronous one it is a coroutine.
    flow = cast(Any, encode if _is_encode(run) else render_job)
    going_on = run_flow(flow, flow_run=run, parameters=parameters, return_type="state")
    return await cast(Coroutine[Any, Any, State[Any]], going_on)


async def carry_out(
    run: FlowRun, parameters: dict[str, Any], *, tell: Tell | None = None, warn: Warn = _LOGGER.warning
) -> Outcome:
    """Carry a flow run out in the caller's event loop.

    Cancelling the awaiting task cancels the job. The cancellation is passed on when the job has ended.

    Args:
        run: The flow run.
        parameters: The flow's; Prefect's own copy has masked secrets.
        tell: Called with the job's counts.
        warn: Called if Prefect does not record every state in time.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    outcome = await _carry_out(run, parameters, tell=tell, warn=warn, signals=())
    if task and task.cancelling() > before:  # the flow swallowed the cancellation
        raise asyncio.CancelledError
    return outcome


def carry_out_alone(
    run: FlowRun, parameters: dict[str, Any], *, tell: Tell | None = None, warn: Warn = _LOGGER.warning
) -> Outcome:
    """Carry a flow run out in an event loop of its own; Ctrl-C and SIGTERM cancel the job.

    It must be called in the main thread, since it handles signals. The arguments are those of `carry_out`.
    """
    # Before the flow's code has begun, and after its end, SIGTERM does the same as Ctrl-C. Prefect, too, calls the
    # handler that it finds.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(_carry_out(run, parameters, tell=tell, warn=warn, signals=SIGNALS))
    except (TerminationSignal, KeyboardInterrupt):
        return asyncio.run(interrupted(run))
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watcher:
    """Keeps the last counts, and passes them on."""

    def __init__(self, tell: Tell | None) -> None:
        self.seen: Progress | None = None
        self._tell = tell

    def __call__(self, seen: Progress) -> None:
        self.seen = seen
        if self._tell is not None:
            self._tell(seen)


async def _carry_out(
    run: FlowRun, parameters: dict[str, Any], *, tell: Tell | None, warn: Warn, signals: Collection[signal.Signals]
) -> Outcome:
    watcher = _Watcher(tell)
    ended_before = await _count_ended(run)
    flow = _start(run, parameters, watcher)
    with cancelled_by(signals, flow), cancelled_without_server(flow):
        try:
            state = await flow
        except JobSuspendedError as exc:
            await APILogHandler.aflush()
            return Outcome(RunState.PAUSED, (exc.state and exc.state.message) or "", exc.report)
        except asyncio.CancelledError:
            if own_server.is_gone():
                return Outcome(RunState.CRASHED, own_server.GONE, None)
            return await interrupted(run)
    if not state.is_final():
        return await interrupted(run)
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, JobEndedError) else result
    report = report if isinstance(report, JobReport) else None
    if not await _is_recorded(report, expected=ended_before + int(_has_joined(report, watcher.seen))):
        warn(f"Prefect had not recorded every state of run {run.id} after {RECORD_SECONDS:g} s")
    is_refused = isinstance(result, JobRefusedError)
    return Outcome(job_state(state), state.message or "", report, is_refused)


def _has_joined(report: JobReport | None, seen: Progress | None) -> bool:
    """Whether there is a task run of a join."""
    if seen is not None and seen.phase.is_join:
        return True
    return report is not None and (report.output is not None or report.merged)


def _start(run: FlowRun, parameters: dict[str, Any], watcher: _Watcher) -> "asyncio.Task[State[Any]]":
    """Start the flow beside the caller; only this flow's progress goes to the watcher."""
    token = LISTENER.set(watcher)
    try:
        return asyncio.create_task(start_flow(run, parameters))
    finally:
        LISTENER.reset(token)


@contextmanager
def cancelled_by(signals: Collection[signal.Signals], flow: "asyncio.Task[Any]") -> Iterator[None]:
    """Let signals cancel a flow within the block.

    SIGTERM too: until the flow's own code has begun, Prefect's handler raises an exception in the code that the signal
    interrupts, and in a callback that exception is lost. The loop's handler is called beside it.
    """
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, flow.cancel)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        if signal.SIGTERM in signals:
            signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def cancelled_without_server(flow: "asyncio.Task[Any]") -> Iterator[None]:
    """Within the block, cancel a flow whose server is gone and that does not end by itself.

    It stops in order, and then Prefect's engine would try for minutes to tell the server.
    """

    async def look() -> None:
        await own_server.until_gone()
        await asyncio.sleep(own_server.LEAVE_SECONDS)
        flow.cancel()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


async def _count_ended(run: FlowRun) -> int:
    """The number of a run's task runs that had ended before this process took the run on."""
    if run.run_count == 0 or _is_encode(run):  # whose report is of the run below
        return 0
    async with api_client() as client:
        return await count_ended(client, str(run.id))


async def interrupted(run: FlowRun) -> Outcome:
    """Record the cancellation of a run whose own code has not begun, and so can't record it."""
    async with api_client() as client:
        state = (await client.read_flow_run(run.id)).state
        if state is None or not state.is_final() or state.is_crashed():
            state = Cancelled(message=JOB_CANCELLED)
            await client.set_flow_run_state(run.id, state, force=True)
    return Outcome(job_state(state), state.message or "", None)


async def _is_recorded(report: JobReport | None, *, expected: int) -> bool:
    """Wait until every task run has its last state in the server's database; say whether it has."""
    await APILogHandler.aflush()
    if report is None:
        return True
    expected += sum(1 for chunk in report.chunks if chunk.attempts or chunk.reused)
    async with api_client() as client:
        return await until_ended(client, report.run_id, expected)


async def until_ended(client: PrefectClient, run_id: str, expected: int) -> bool:
    """Wait until the server's database has so many of a run's task runs as ended; say whether it has."""
    deadline = time.monotonic() + RECORD_SECONDS
    while time.monotonic() < deadline:
        if await count_ended(client, run_id) >= expected:
            return True
        await asyncio.sleep(LOOK_SECONDS)
    return False
