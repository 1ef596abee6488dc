"""The Python API of `farm`, on runs of this process."""

import asyncio
import getpass
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

import farm
from farm import dead_runs
from farm.here import carry_out, create_run
from flows.render import render_job
from helios.errors import RequestError
from helios.models.report import JobReport, RunState
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.running import JobBeside, eventually, render

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(scope="module")
def film(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> JobReport:
    """The report of a run that completed."""
    job = make_job([5] * 3, outputFile="video.mp4")
    return asyncio.run(render(tmp_path_factory.mktemp("film"), job))[1]


class Job(JobBeside):
    """A job that this process carries out beside the test; its commands end when a file `all` is there."""

    def __init__(self, folder: Path, run: FlowRun) -> None:
        super().__init__(folder, asyncio.create_task(carry_out(run, run.parameters)))
        self.id = str(run.id)


def document(folder: Path, *, chunks: int = 3) -> Path:
    """A job whose commands note that they began, and wait for a file `all`."""
    (folder / "notes").mkdir()
    words = ["--notes", str(folder / "notes"), "--misbehave", f"until:{folder}"]
    return write_job(folder, make_job([5] * chunks, extra=words, outputFile="video.mp4"))


@asynccontextmanager
async def a_job(folder: Path) -> AsyncIterator[Job]:
    """Run a job within the block, one chunk at a time."""
    parameters: dict[str, Any] = {"job": str(document(folder)), "concurrency": 1, "retries": 0}
    job = Job(folder, await create_run(parameters))
    try:
        await job.until_begun(1)
        yield job
    finally:
        job.work.cancel()
        await asyncio.wait([job.work])


def test_importing_it_is_light() -> None:
    """Prefect is imported with the first name that is used; a wrong name is an AttributeError."""
    script = (
        "import sys, farm\n"
        "print('prefect' in sys.modules)\n"
        "try: farm.summit\n"
        "except AttributeError as exc: print(exc)\n"
        "print('prefect' in sys.modules)\n"
        "farm.submit\n"
        "print('prefect' in sys.modules, 'flows.render' in sys.modules, farm.RunState.FAILED)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == [
        "False", "module 'farm' has no attribute 'summit'", "False", "True False failed",
    ]  # fmt: skip


def test_every_name_is_there() -> None:
    """Every name in `farm.__all__`, which a type checker sees, exists."""
    assert {name for name in farm.__all__ if not hasattr(farm, name)} == set()


async def test_a_run_that_completed(film: JobReport) -> None:
    """A completed run is found by its id, its name or its status, with a given client and without one."""
    found = await farm.status(film.run_id)
    assert (found.id, found.state, found.holder) == (film.run_id, RunState.COMPLETED, None)
    assert (await farm.status(found.name)).id == film.run_id
    assert film.run_id in [run.id for run in await farm.list_runs(name=found.name, states=[RunState.COMPLETED])]
    assert await farm.list_runs(name=found.name, states=[RunState.FAILED]) == []
    async with get_client() as client:
        chunks = await farm.chunks(found, client=client)
        assert sorted(chunk.name for chunk in chunks) == ["chunk-0", "chunk-1", "chunk-2", "stitch"]
        progress = await farm.progress(film.run_id, client=client)
    assert progress is not None
    assert (progress.frames, progress.total_frames) == (15, 15)
    assert await farm.report(found.name) == film
    assert await farm.why_waiting(found) is None
    assert (await farm.wait(film.run_id)).state is RunState.COMPLETED
    lines = [line.message async for line in farm.logs(film.run_id, follow=True)]
    assert any("Done: 15 frames in 3 chunks" in line for line in lines)


async def test_pause_resume_and_wait(tmp_path: Path) -> None:
    """A run says who asked for it; paused, it continues on resume; `wait` passes on counts, and returns at its end."""
    async with a_job(tmp_path) as job:
        paused = await farm.pause(job.id)
        assert paused.state is RunState.PAUSED
        assert paused.submitted_by == f"{getpass.getuser()}@{socket.gethostname()}"
        assert await farm.resume(job.id) is farm.Resumed.CONTINUED
        with pytest.raises(RequestError, match="is running; only one that has ended can be retried"):
            await farm.retry(job.id)
        seen: list[int] = []

        def tell(progress: farm.Progress) -> None:
            seen.append(progress.frames)
            (tmp_path / "all").touch()  # not before: on a busy machine, the run would be over at the first look

        ended = await farm.wait(job.id, tell=tell)
        assert (ended.state, ended.holder) == (RunState.COMPLETED, None)
        assert seen == sorted(seen)
        assert seen
        assert (await job.work).state is RunState.COMPLETED
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))


async def test_cancel_retry_and_delete(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancelled run leaves no process; a run without a worker is carried out here; a deleted run is gone."""
    async with a_job(tmp_path) as job:
        with pytest.raises(RequestError, match="is running; cancel it first"):
            await farm.delete(job.id)
        await farm.cancel(job.id)
        assert (await farm.wait(job.id)).state is RunState.CANCELLED
        assert processes_of(tmp_path / "notes") == []
        with pytest.raises(RequestError, match="is cancelled already; there is nothing to cancel"):
            await farm.cancel(job.id)
        (tmp_path / "all").touch()
        told: list[int] = []
        how = await farm.retry(job.id, tell=lambda progress: told.append(progress.chunks))
        assert how is farm.Resumed.HERE
        assert told[-1] == 3
        assert (await farm.status(job.id)).state is RunState.COMPLETED
        logs = tmp_path / ".helios" / "logs" / job.id
        logs.mkdir(parents=True, exist_ok=True)  # commands that print nothing leave no folder
        assert await farm.delete(job.id) == [f"its commands' output is removed: {logs}"]
        assert not logs.exists()
        with pytest.raises(RequestError, match=f"There is no run '{job.id}'; helios-job list shows"):
            await farm.status(job.id)
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))


async def test_cancelling_a_resume_cancels_the_job(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Cancelling a task that awaits `resume` cancels the job; the cancellation is passed on when the job has ended."""
    async with a_job(tmp_path) as job:
        await farm.cancel(job.id)
        await farm.wait(job.id)
        begun = job.begun
        resuming = asyncio.create_task(farm.resume(job.id))

        async def has_begun() -> bool:
            assert not resuming.done()
            return job.begun > begun

        await eventually(has_begun)
        resuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resuming
        assert processes_of(tmp_path / "notes") == []
        assert (await farm.status(job.id)).state is RunState.CANCELLED


async def test_submit(tmp_path: Path) -> None:
    """A submitted job waits with its parameters; an unknown deployment and settings with secrets are refused."""
    async with get_client() as client:
        flow = await client.create_flow_from_name("render-job")
        await client.create_deployment(flow, "unattended", entrypoint="flows/render.py:render_job")
    run = await farm.submit(write_job(tmp_path, make_job((5,))), deployment="unattended", concurrency=2)
    assert run.state is RunState.PENDING
    assert run.run.parameters == {"job": str(tmp_path / "job.json"), "concurrency": 2}
    assert (await farm.cancel(run.id)).state is RunState.CANCELLED
    with pytest.raises(RequestError, match="There is no deployment render-job/moon; "):
        await farm.submit("job.json", deployment="moon")
    secret = {"type": "aws-lambda", "credentials": {"secret_access_key": "********"}}
    with pytest.raises(RequestError, match="hold secrets, which Prefect does not keep"):
        await farm.submit("job.json", deployment="unattended", adapter=secret)


async def test_a_job_is_named_as_a_worker_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`submit` makes a relative path absolute, and leaves URLs and documents as they are."""
    monkeypatch.chdir(tmp_path)
    async with get_client() as client:
        flow = await client.create_flow_from_name("render-job")
        await client.create_deployment(flow, "unattended", entrypoint="flows/render.py:render_job")
        jobs: list[Any] = ["job.json", "https://h/job.json", "s3://b/job.json", make_job((5,))]
        runs = [await farm.submit(job, deployment="unattended", client=client) for job in jobs]
        assert [run.run.parameters["job"] for run in runs] == [str(tmp_path / "job.json"), *jobs[1:]]
        large = {**make_job([1] * 5000), "id": "a film / 7"}
        runs.append(await farm.submit(large, deployment="unattended", client=client))
        kept = Path(runs[-1].run.parameters["job"])
        assert (kept.name, runs[-1].run.parameters["job_dir"]) == ("a-film-7.json", str(tmp_path))
        assert json.loads(kept.read_text()) == large, "Prefect takes parameters of 512 KiB"
        for run in runs:
            await farm.cancel(run, client=client)


async def test_a_run_whose_adapter_had_secrets() -> None:
    """A run whose adapter's secrets are masked in Prefect is resumed only with settings that are given again."""
    masked = {"type": "aws-lambda", "credentials": {"secret_access_key": "********"}}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters={"job": "no.json", "adapter": masked})
    with pytest.raises(RequestError, match="The run's adapter settings hold secrets"):
        await farm.resume(run.id)
    assert (await farm.status(run.id)).state is RunState.PENDING
    assert await farm.resume(run.id, adapter="local") is farm.Resumed.HERE
    assert "no.json" in (await farm.status(run.id)).message


async def test_dead_runs_are_marked_before_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first query marks a run whose process is gone as crashed."""
    monkeypatch.setattr(dead_runs, "OWNER_SILENT", timedelta(seconds=-2))  # the server's clock is read in whole seconds
    for ask in ("status", "list"):
        async with get_client() as client:
            run = await client.create_flow_run(render_job, parameters={"job": ask}, state=Running())
        if ask == "status":
            found = await farm.status(run.id)
        else:
            found = next(one for one in await farm.list_runs() if one.id == str(run.id))
        assert found.state is RunState.CRASHED
        assert f"helios-job resume {run.id} goes on" in found.message


async def test_without_a_server() -> None:
    """Without a configured server a query is refused with what to set; Prefect itself would start a server."""
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(RequestError, match="No Prefect server is configured; set PREFECT_API_URL"),
    ):
        await farm.list_runs()
