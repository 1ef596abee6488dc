"""A run obeys every state that is set in Prefect, and its own states there are true."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Pause
from prefect.states import Cancelled, Cancelling, Crashed, Failed, Paused, Pending, Running, Scheduled, Suspended

from farm import dead_runs
from farm import runs as job_runs
from farm.dead_runs import mark_dead_runs
from farm.here import start_flow
from farm.runs import Resumed, cancel_run, find_run, pause_run, resume_run
from farm.watch import read_progress
from flows.render import render_job
from helios.errors import RequestError
from helios.models.report import RunState
from tasks.prefect_api.api import RunApi
from tasks.prefect_api.states import ENDED, job_state, stitching, to_be_resumed
from tasks.run.dead_run_automation import SUSPENDED
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.running import JobBeside, ended_task_runs, eventually, render, report_of

_LOGGER = logging.getLogger(__name__)
pytestmark = pytest.mark.usefixtures("prefect_api")


class Job(JobBeside):
    """A job that runs beside the test."""

    def __init__(self, folder: Path, client: PrefectClient, run: FlowRun) -> None:
        super().__init__(folder, asyncio.create_task(start_flow(run, run.parameters)))
        self.client = client
        self.run = run

    async def until_paused(self) -> None:
        """Wait until the run's process has read that it is paused; then let its commands end."""

        async def is_noted() -> bool:
            progress = await read_progress(self.client, self.run)
            return progress is not None and progress.is_paused

        await eventually(is_noted)
        (self.folder / "all").touch()

    async def state(self) -> RunState:
        """The job's state, by its run's state in Prefect."""
        return job_state((await self.client.read_flow_run(self.run.id)).state)


@asynccontextmanager
async def a_job(folder: Path, misbehave: str, *, chunks: int = 6, **parameters: Any) -> AsyncIterator[Job]:
    """Run a job within the block."""
    (folder / "notes").mkdir()
    words = ["--notes", str(folder / "notes"), "--misbehave", misbehave]
    path = write_job(folder, make_job([5] * chunks, extra=words, outputFile="video.mp4"))
    async with get_client() as client:
        settings = {"job": str(path), "concurrency": 2, "retries": 0} | parameters
        job = Job(folder, client, await client.create_flow_run(render_job, parameters=settings, state=Pending()))
        try:
            yield job
        finally:
            job.work.cancel()
            await asyncio.wait([job.work])


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        (None, RunState.PENDING),
        (Scheduled(), RunState.PENDING),
        (to_be_resumed(), RunState.PENDING),
        (Pending(), RunState.PENDING),
        (Running(), RunState.RUNNING),
        (Cancelling(), RunState.RUNNING),
        (stitching(), RunState.STITCHING),
        (Paused(), RunState.PAUSED),
        (Suspended(), RunState.PAUSED),
        (Failed(), RunState.FAILED),
        (Cancelled(), RunState.CANCELLED),
        (Crashed(), RunState.CRASHED),
    ],
)
def test_each_state_of_prefect_means_one_of_a_job(state: State[Any] | None, meaning: RunState) -> None:
    """`job_state` maps each state of Prefect to one state of a job."""
    assert job_state(state) is meaning


def test_every_type_of_state_is_mapped() -> None:
    """Every type of Prefect's states is mapped, and only the final ones mean that a job has ended."""
    ends = {kind for kind in StateType if job_state(State(type=kind)) in ENDED}
    assert ends == {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED}


async def test_pause_and_continue(tmp_path: Path) -> None:
    """A paused run finishes its chunks in flight, starts nothing new and is Paused; on resume it renders the others."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await pause_run(job.client, await find_run(job.client, str(job.run.id)))
        assert await job.state() is RunState.PAUSED
        await job.until_paused()
        await eventually(lambda: _accepted(tmp_path, at_least=2))
        await another_job_is_rendered(tmp_path)
        assert job.begun == 2
        assert len(list(tmp_path.glob("chunk ?.mp4"))) == 2
        status = await find_run(job.client, str(job.run.id))
        assert await resume_run(job.client, status) is Resumed.CONTINUED
        state = await job.work
    assert state.is_completed()
    assert job.begun == 6
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


async def test_a_suspension_that_is_resumed_between_two_looks(tmp_path: Path) -> None:
    """The run is Running again, although its process saw neither; it would look as if it waited for a worker."""
    async with a_job(tmp_path, f"until:{tmp_path}", chunks=2) as job:
        await job.until_begun(2)
        await job.client.set_flow_run_state(job.run.id, to_be_resumed(), force=True)

        async def is_running() -> bool:
            return await job.state() is RunState.RUNNING

        await eventually(is_running)
        (tmp_path / "all").touch()
        assert (await job.work).is_completed()
    assert job.begun == 2


async def test_a_pause_holds_the_stitch_back_too(tmp_path: Path) -> None:
    """A run that is paused during its last chunks joins nothing until it is resumed."""
    async with a_job(tmp_path, f"until:{tmp_path}", chunks=2) as job:
        await job.until_begun(2)
        await pause_run(job.client, await find_run(job.client, str(job.run.id)))
        await job.until_paused()
        await eventually(lambda: _accepted(tmp_path, at_least=2))
        await another_job_is_rendered(tmp_path)
        assert not (tmp_path / "video.mp4").exists()
        await resume_run(job.client, await find_run(job.client, str(job.run.id)))
        await job.work
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))


async def test_cancel_by_the_state(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancel by the run's state, as in the UI, ends every process, and run and chunks are Cancelled."""
    async with a_job(tmp_path, "hang-hard", adapter={"type": "local", "grace_seconds": 0.5}) as job:
        await job.until_begun(2)
        await cancel_run(job.client, await find_run(job.client, str(job.run.id)))
        state = await asyncio.wait_for(job.work, 120)
        assert processes_of(tmp_path) == []
        assert state.type is StateType.CANCELLED
        assert await job.state() is RunState.CANCELLED
        report = await report_of(state)
        assert {run.state_name for run in await ended_task_runs(report, count=2)} == {"Cancelled"}
        assert job.begun == 2
        with pytest.raises(RequestError, match="is cancelled already"):
            await cancel_run(job.client, await find_run(job.client, str(job.run.id)))


async def test_cancel_while_paused(tmp_path: Path) -> None:
    """A paused run that is cancelled ends and renders nothing more."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await pause_run(job.client, await find_run(job.client, str(job.run.id)))
        await job.until_paused()
        await cancel_run(job.client, await find_run(job.client, str(job.run.id)))
        state = await asyncio.wait_for(job.work, 120)
    assert state.type is StateType.CANCELLED
    assert job.begun == 2


async def test_a_run_that_is_taken_for_dead_says_that_it_lives(tmp_path: Path) -> None:
    """A live run that is marked as crashed by mistake becomes Running again, and completes."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.client.set_flow_run_state(job.run.id, Crashed(message="I have not heard of it"), force=True)

        async def is_running() -> bool:
            return await job.state() is RunState.RUNNING

        await eventually(is_running)
        (tmp_path / "all").touch()
        state = await job.work
        assert state.is_completed()
        assert await job.state() is RunState.COMPLETED


async def test_a_run_that_somebody_marked_as_failed_ends(tmp_path: Path) -> None:
    """A run that is marked as Failed from outside ends, and its message says so."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.client.set_flow_run_state(job.run.id, Failed(message="enough"), force=True)
        state = await asyncio.wait_for(job.work, 120)
    assert state.is_failed()
    assert "marked as Failed from outside" in (state.message or "")


async def test_suspend_ends_the_process_and_resume_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended run finishes its chunks in flight and is not taken for dead; another process renders the others."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.client.set_flow_run_state(job.run.id, Suspended(), force=True)
        await job.until_paused()
        with pytest.raises(Pause):
            await asyncio.wait_for(job.work, 120)
        assert await job.state() is RunState.PAUSED
        monkeypatch.setattr(dead_runs, "OWNER_SILENT", timedelta(0))
        await mark_dead_runs(job.client)
        assert await job.state() is RunState.PAUSED
        await eventually(partial(_said_last, job, SUSPENDED))
        assert job.begun == 2
        assert len(list(tmp_path.glob("chunk ?.mp4"))) == 2
        status = await find_run(job.client, str(job.run.id))
        assert await resume_run(job.client, status) is Resumed.HERE
        state = await start_flow(await job.client.read_flow_run(job.run.id), job.run.parameters)
    assert state.is_completed()
    assert job.begun == 6
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


async def test_the_state_while_chunks_are_joined(tmp_path: Path) -> None:
    """A run is Stitching in Prefect while its chunks are joined."""
    (tmp_path / "notes").mkdir()
    path = write_job(tmp_path, make_job((5,), mergeCommand="sh -c 'while [ ! -e go ]; do sleep 0.1; done'"))
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters={"job": str(path)}, state=Pending())
        work = asyncio.create_task(start_flow(run, run.parameters))

        async def is_told() -> bool:
            assert not work.done(), work.result()
            return (await find_run(client, str(run.id))).state is RunState.STITCHING

        await eventually(is_told)
        (tmp_path / "go").touch()
        await work
        assert (await find_run(client, str(run.id))).state is RunState.COMPLETED


async def test_a_running_job_is_not_resumed(tmp_path: Path) -> None:
    """Resuming a running job is refused, and the error names its run and process."""
    async with a_job(tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        with pytest.raises(RequestError, match=r"nothing to resume: run job-\w+ .*process \d+ on .* is running"):
            await resume_run(job.client, await find_run(job.client, str(job.run.id)))


async def test_a_run_whose_worker_did_not_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting run is left to its worker; a run that a worker took and did not start can be scheduled again."""
    async with get_client() as client:
        flow_id = await client.create_flow_from_name("render-job")
        deployment = await client.create_deployment(flow_id, "stranded")
        waiting = await client.create_flow_run_from_deployment(deployment)
        taken = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(taken.id, Pending())
        for run in (waiting, taken):
            with pytest.raises(RequestError, match="waits for a worker already"):
                await resume_run(client, await find_run(client, str(run.id)))
        monkeypatch.setattr(job_runs, "START_PATIENCE", timedelta(0))
        with pytest.raises(RequestError, match="waits for a worker already"):
            await resume_run(client, await find_run(client, str(waiting.id)))
        assert await resume_run(client, await find_run(client, str(taken.id))) is Resumed.SCHEDULED
        assert (await client.read_flow_run(taken.id)).state_type is StateType.SCHEDULED
        await client.delete_deployment(deployment)


@pytest.mark.slow
async def test_a_run_whose_process_died_is_crashed_when_somebody_looks() -> None:
    """A run whose process died becomes Crashed, or Cancelled if it was to be cancelled; a live run is left alone."""
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    async with get_client() as client:
        wanted: dict[str, State[None]] = {
            "running": Running(),
            "paused": Paused(),
            "cancelling": Cancelling(),
            "alive": Running(),
        }
        runs = {}
        for name, state in wanted.items():
            run = await client.create_flow_run(render_job, parameters={"job": name}, state=Running())
            await client.set_flow_run_state(run.id, state, force=True)
            holder = LockOwner.this_process(job=name, run_id=str(run.id), run_name=run.name)
            dead = {"pid": gone.pid, "started": "1", "owner": "nobody-"} if name != "alive" else {}
            lock = JobLock(RunApi(client, _LOGGER), f"looked-at-{name}", holder.model_copy(update=dead))
            await lock.acquire()
            runs[name] = run.id
            if name == "alive":
                alive = lock
        marked = {run.id for run in await mark_dead_runs(client)}
        assert marked == {runs["running"], runs["paused"], runs["cancelling"]}
        found = {name: (await find_run(client, str(run_id))) for name, run_id in runs.items()}
        assert {name: status.state for name, status in found.items()} == {
            "running": RunState.CRASHED,
            "paused": RunState.CRASHED,
            "cancelling": RunState.CANCELLED,
            "alive": RunState.RUNNING,
        }
        assert f"Process {gone.pid} on " in found["running"].message
        assert f"helios-job resume {runs['running']} goes on" in found["running"].message
        await alive.release()
        await client.set_flow_run_state(UUID(str(runs["alive"])), Failed(), force=True)


async def _said_last(job: Job, event: str) -> bool:
    """Whether this event is the last of the run's own events on the server."""
    own = {"event": {"prefix": ["helios-render.run."]}, "resource": {"id": [f"prefect.flow-run.{job.run.id}"]}}
    found = await job.client.request("POST", "/events/filter", json={"filter": own, "limit": 1})
    return [heard["event"] for heard in found.json()["events"]] == [event]


async def another_job_is_rendered(folder: Path) -> None:
    """Render and join another job: by its end a job that is not paused would have begun chunks, or its join."""
    (folder / "another").mkdir()
    state, _ = await render(folder / "another", make_job([5] * 4, outputFile="video.mp4"))
    assert state.is_completed(), state.message


async def _accepted(folder: Path, *, at_least: int) -> bool:
    return len(list(folder.glob("chunk ?.mp4"))) >= at_least
