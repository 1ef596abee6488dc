"""Run the flow in the test's own process, and read what it has left."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun

from farm.here import start_flow
from flows.render import render_job
from helios.models.report import JobReport
from tasks.prefect_api.states import to_be_resumed
from tasks.run.errors import JobEndedError
from testbed.jobs import write_job


async def render(folder: Path, job: dict[str, Any], **parameters: Any) -> tuple[State[Any], JobReport]:
    """Run the flow on a document in a folder, two chunks at a time, and get its last state and its report."""
    path = write_job(folder, job)
    settings = {"concurrency": 2, "retries": 0, "retry_delay_seconds": 0.05} | parameters
    state: State[Any] = await render_job(str(path), **settings, return_state=True)
    return state, await report_of(state)


async def task_runs(report: JobReport, *, count: int) -> dict[str, TaskRun]:
    """The task runs of a finished run, by name, once all of them have ended in the database."""
    return {run.name: run for run in await ended_task_runs(report, count=count)}


async def ended_task_runs(report: JobReport, *, count: int) -> list[TaskRun]:
    """The task runs of a flow run, once this many of them have ended in the database."""
    deadline = time.monotonic() + 30
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[report.run_id]))
    async with get_client() as client:
        while True:
            runs = await client.read_task_runs(flow_run_filter=wanted)
            ended = [run for run in runs if run.state is not None and run.state.is_final()]
            if len(ended) >= count:
                return ended
            assert time.monotonic() < deadline, [(run.name, run.state_name) for run in runs]
            await asyncio.sleep(0.2)


def leftovers(folder: Path) -> list[str]:
    """Files of attempts and of unfinished stitches."""
    return [path.name for path in folder.rglob("*") if "attempt-" in path.name and path.suffix != ".log"]


async def report_of(state: State[Any]) -> JobReport:
    """The report that a run's last state carries."""
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, JobEndedError) else result
    assert isinstance(report, JobReport), state.message
    return report


async def resume(report: JobReport, **changed: Any) -> tuple[State[Any], JobReport]:
    """Run the same flow run again, as `helios-job resume` does."""
    async with get_client() as client:
        run = await client.read_flow_run(UUID(report.run_id))
        await client.set_flow_run_state(run.id, to_be_resumed(), force=True)
        run = await client.read_flow_run(run.id)
    state = await start_flow(run, {**run.parameters, **changed})
    return state, await report_of(state)


class JobBeside:
    """A job that runs beside the test; each of its commands leaves a note in the folder `notes` when it begins.

    Args:
        folder: The job directory.
        work: Carries it out.
    """

    def __init__(self, folder: Path, work: "asyncio.Task[Any]") -> None:
        self.folder = folder
        self.work = work

    @property
    def begun(self) -> int:
        """The number of executions of its commands."""
        return begun(self.folder)

    async def until_begun(self, count: int) -> None:
        """Wait until this many executions have begun."""

        async def have() -> bool:
            assert not self.work.done(), self.work.result()
            return self.begun >= count

        await eventually(have)


def begun(folder: Path) -> int:
    """The number of executions of a job's commands, each of which leaves a note in the folder `notes`."""
    return len(list((folder / "notes").iterdir()))


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; it may end in this moment."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def eventually(condition: Callable[[], Awaitable[object]], *, seconds: float = 120) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.05)
