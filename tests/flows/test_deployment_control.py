"""A worker's run of a deployment does what Prefect's UI asks of it: pause, resume, cancel, by the UI's own requests.

In such runs Prefect's engine itself watches for a suspension.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled

from farm.runs import Resumed, find_run, pause_run, resume_run, retry_run
from farm.watch import read_progress
from testbed.cloud.processes import ROOT
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import HELIOS_JOB
from tests.conftest import ProcessesOf
from tests.running import begun, eventually, is_alive
from tests.test_deployment import make_deployment

POOL = "controlled"
soon = partial(eventually, seconds=300)
"""`eventually` with a longer deadline: a flow's process starts slowly."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def worker(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """A worker with room for one process: a run that is resumed must not need a second process."""
    asyncio.run(make_deployment("controlled", pool=POOL))
    log = tmp_path_factory.mktemp("worker") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [HELIOS_JOB, "worker", "--pool", POOL, "--limit", "1"], cwd=ROOT, stdout=output, stderr=output
        )
    yield psutil.Process(process.pid)
    process.terminate()
    process.wait()


class Job:
    """A job that the worker carries out."""

    def __init__(self, folder: Path, client: PrefectClient, run: FlowRun, worker: psutil.Process) -> None:
        self.folder = folder
        self.client = client
        self.id = str(run.id)
        self._id = run.id
        self._worker = worker

    @property
    def begun(self) -> int:
        """The number of executions of its commands."""
        return begun(self.folder)

    @property
    def process(self) -> int | None:
        """The process id of the run, if it has a process."""
        flows = [child for child in self._worker.children() if is_alive(child)]
        return flows[0].pid if flows else None

    async def until_begun(self, count: int) -> None:
        """Wait until this many executions have begun."""

        async def have() -> bool:
            return self.begun >= count

        await soon(have)

    async def until_accepted(self, count: int) -> None:
        """Wait until this many outputs are accepted."""

        async def have() -> bool:
            return len(list(self.folder.glob("chunk ?.mp4"))) >= count

        await soon(have)

    async def press_pause(self, seconds: float = 300) -> None:
        """Do what Pause on a run's page does, with this time limit; wait until the run's process has read it."""
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        await self._set_state("PAUSED", "Suspended", pause_timeout=until, pause_reschedule=True)
        await self.until_noted()

    async def until_noted(self, *, is_paused: bool = True) -> None:
        """Wait until the run's process has read that it is paused, or that it goes on."""

        async def is_noted() -> bool:
            progress = await read_progress(self.client, await self.client.read_flow_run(self._id))
            return progress is not None and progress.is_paused is is_paused

        await soon(is_noted)

    async def press_cancel(self) -> None:
        """Do what Cancel on a run's page does."""
        await self._set_state("CANCELLING", "Cancelling")

    async def press_resume(self) -> None:
        """Do what Resume on a run's page does."""
        answer = await self.client.resume_flow_run(self._id)
        assert answer.status is SetStateStatus.ACCEPT, answer

    async def until_marked(self, name: str) -> None:
        """Wait until the run has a state on the server, regardless of its process."""

        async def is_marked() -> bool:
            return (await self.client.read_flow_run(self._id)).state_name == name

        await soon(is_marked)

    async def until_it_is(self, name: str) -> None:
        """Wait until the run has a state and, unless that is Running, until its process has ended."""

        async def is_there() -> bool:
            found = (await self.client.read_flow_run(self._id)).state
            assert found is not None
            assert found.name == name or not found.is_final(), found
            return found.name == name and (found.is_running() or self.process is None)

        await soon(is_there)

    async def until_task_runs_are(self, names: list[str]) -> None:
        """Wait until its task runs' states, sorted, have these names: the server writes a state after its event."""
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[self._id]))

        async def are_they() -> bool:
            runs = await self.client.read_task_runs(flow_run_filter=of_run)
            return sorted(str(run.state_name) for run in runs) == names

        await soon(are_they)

    async def _set_state(self, type_: str, name: str, **details: Any) -> None:
        state = {"type": type_, "name": name, "state_details": details}
        await self.client.request(
            "POST", "/flow_runs/{id}/set_state", path_params={"id": self._id}, json={"state": state, "force": True}
        )


@asynccontextmanager
async def a_job(worker: psutil.Process, folder: Path, misbehave: str, **fields: Any) -> AsyncIterator[Job]:
    """Run a job of a deployment at the worker within the block: four chunks, two at a time."""
    (folder / "notes").mkdir()
    words = ["--notes", str(folder / "notes"), "--misbehave", misbehave]
    path = write_job(folder, make_job([5] * 4, extra=words, **{"outputFile": "video.mp4"} | fields))
    parameters = {"job": str(path), "concurrency": 2, "retry_delay_seconds": 3}
    async with get_client() as client:
        deployment = await client.read_deployment_by_name("render-job/controlled")
        run = await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        job = Job(folder, client, run, worker)
        try:
            yield job
        finally:
            # The next test's run needs the worker's one place.
            await client.set_flow_run_state(run.id, Cancelled(), force=True)

            async def is_gone() -> bool:
                return job.process is None

            await soon(is_gone)


@pytest.mark.slow  # tests/flows/test_control.py has a suspension, in one process
async def test_pause_ends_the_process_and_resume_starts_another(worker: psutil.Process, tmp_path: Path) -> None:
    """After a pause chunks in flight are accepted and the process ends; another process renders the other chunks."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.press_pause()
        (tmp_path / "all").touch()
        await job.until_it_is("Suspended")
        assert job.begun == 2
        assert len(list(tmp_path.glob("chunk ?.mp4"))) == 2
        await job.until_task_runs_are(["Completed"] * 2)
        await job.press_resume()
        await job.until_it_is("Completed")
        assert job.begun == 4
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))


@pytest.mark.slow
async def test_resume_while_chunks_still_finish(worker: psutil.Process, tmp_path: Path) -> None:
    """A resume while chunks still finish keeps the process, and the run is Running; it can be paused again."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        process = job.process
        await job.press_pause()
        await job.press_resume()
        await job.until_it_is("Running")
        await job.until_noted(is_paused=False)
        (tmp_path / "0").touch()
        await job.until_begun(3)
        await job.press_pause()
        (tmp_path / "5").touch()
        await job.until_accepted(2)
        await job.press_resume()
        await job.until_it_is("Running")
        (tmp_path / "all").touch()
        await job.until_begun(4)
        assert job.process == process
        await job.until_it_is("Completed")
        assert job.begun == 4
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))


@pytest.mark.slow
async def test_nobody_resumes_in_time(worker: psutil.Process, tmp_path: Path) -> None:
    """A pause that times out is Failed on the server; chunks in flight are still accepted, and a retry goes on."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.press_pause(seconds=20)
        await job.until_marked("Failed")
        (tmp_path / "all").touch()
        await job.until_it_is("Failed")
        await job.until_task_runs_are(["Completed"] * 2)
        await retry_run(job.client, await find_run(job.client, job.id))
        await job.until_begun(4)
        await job.until_it_is("Completed")
        assert job.begun == 4


@pytest.mark.slow
async def test_pause_that_keeps_the_process(worker: psutil.Process, tmp_path: Path) -> None:
    """`helios-job pause` keeps the run's process, and `helios-job resume` lets it go on."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        process = job.process
        await pause_run(job.client, await find_run(job.client, job.id))
        await job.until_noted()
        (tmp_path / "all").touch()
        await job.until_accepted(2)
        assert job.process == process
        assert await resume_run(job.client, await find_run(job.client, job.id)) is Resumed.CONTINUED
        await job.until_begun(4)
        assert job.process == process
        await job.until_it_is("Completed")
        assert job.begun == 4


@pytest.mark.slow
async def test_cancel_while_paused(worker: psutil.Process, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Cancelling a paused run ends its chunks in flight and the run."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.press_pause()
        await job.press_cancel()
        await job.until_it_is("Cancelled")
        assert processes_of(tmp_path) == []
        await job.until_task_runs_are(["Cancelled"] * 2)
        assert job.begun == 2


@pytest.mark.slow
async def test_cancel_of_one_whose_process_has_ended(worker: psutil.Process, tmp_path: Path) -> None:
    """A paused run whose process has ended becomes Cancelled, and keeps its accepted chunks."""
    async with a_job(worker, tmp_path, f"until:{tmp_path}") as job:
        await job.until_begun(2)
        await job.press_pause()
        (tmp_path / "all").touch()
        await job.until_it_is("Suspended")
        await job.press_cancel()
        await job.until_it_is("Cancelled")
        await job.until_task_runs_are(["Completed"] * 2)


@pytest.mark.slow
async def test_pause_during_the_join(worker: psutil.Process, tmp_path: Path) -> None:
    """A pause during the join lets the join finish, and with it the job, so that nothing is left to resume."""
    merge = f"sh -c 'echo >> merges; until test -e {tmp_path}/go; do sleep 0.1; done'"
    async with a_job(worker, tmp_path, "slow:0", outputFile=None, mergeCommand=merge) as job:

        async def is_joining() -> bool:
            return (tmp_path / "merges").exists()

        await soon(is_joining)
        await job.press_pause()
        (tmp_path / "go").touch()
        await job.until_it_is("Completed")
        await job.until_task_runs_are(["Completed"] * 5)
        assert (tmp_path / "merges").read_text() == "\n"


@pytest.mark.slow
async def test_pause_while_a_chunk_waits_for_its_retry(worker: psutil.Process, tmp_path: Path) -> None:
    """A paused process does not wait for a chunk's retry; the chunk is tried again after the resume."""
    async with a_job(worker, tmp_path, "fail-times:1") as job:
        await job.until_begun(2)
        await job.press_pause()
        await job.until_it_is("Suspended")
        await job.press_resume()
        await job.until_it_is("Completed")
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))
