"""Fundamentals, 3: the type of an error says what happens next."""

from dataclasses import replace
from logging import getLogger
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from flows.render import render_job
from helios import CommandError, HeliosError, RequestError, WorkerJob, WorkerResult, WorkerUnavailableError
from helios.adapter import OutputSink
from helios.models.report import JobReport
from helios.testing import FakeAdapter
from tasks.chunk import render_chunk
from tasks.request.prepare import prepare_job
from tasks.run.errors import AttemptFailedError
from tasks.run.run import ENVIRONMENT_RETRIES, JobRun, Limits
from testbed.jobs import make_job
from testbed.video import Clip, write_clip

pytestmark = pytest.mark.usefixtures("prefect_api")


async def attempts(folder: Path, error: HeliosError, *, times: int, retries: int) -> tuple[int, bool]:
    """Render a chunk whose worker raises an error a number of times; how often it was tried, and whether it worked."""
    failures = iter([error] * times)

    async def worker(job: WorkerJob, _sink: OutputSink | None) -> WorkerResult:
        if failure := next(failures, None):
            raise failure
        write_clip(folder / job.args[-1], Clip(), start=0, count=10)
        return WorkerResult(exit_code=0)

    document = make_job((10,))
    document["chunks"][0]["command"] = "render 'chunk 0.mp4'"
    prepared = prepare_job(document, job_dir=str(folder))
    adapter = FakeAdapter(worker)
    async with get_client() as client:
        run = JobRun(
            replace(prepared, adapter=adapter), run_id=str(uuid4()), key="job-0", token="t",
            limits=Limits(retries=retries), client=client, logger=getLogger(__name__),
        )  # fmt: skip
        task = render_chunk.with_options(refresh_cache=True, retries=retries + ENVIRONMENT_RETRIES)
        try:
            await task(0, run)
        except AttemptFailedError:
            return len(adapter.jobs), False
        return len(adapter.jobs), True


async def test_a_failed_command_counts_against_its_retries(tmp_path: Path) -> None:
    """Two retries: the third attempt may succeed, a fourth there is not."""
    error = CommandError("exited with code 1")
    assert await attempts(tmp_path, error, times=2, retries=2) == (3, True)
    assert await attempts(tmp_path, error, times=3, retries=2) == (3, False)


async def test_a_failed_environment_has_a_bound_of_its_own(tmp_path: Path) -> None:
    """It uses up no retry of the chunk, and is not tried for ever."""
    error = WorkerUnavailableError("no process could be started")
    assert await attempts(tmp_path, error, times=ENVIRONMENT_RETRIES, retries=0) == (ENVIRONMENT_RETRIES + 1, True)
    assert await attempts(tmp_path, error, times=99, retries=0) == (ENVIRONMENT_RETRIES + 1, False)


async def test_a_wrong_request_is_tried_once(tmp_path: Path) -> None:
    """No retry mends it."""
    assert await attempts(tmp_path, RequestError("no such program"), times=1, retries=9) == (1, False)


async def test_a_retried_chunk_is_in_the_report(tmp_path: Path) -> None:
    """With its number of attempts."""
    job = make_job((5,), extra=["--misbehave", "fail-times:1"])
    report = await render_job(job, job_dir=str(tmp_path), retries=1, retry_delay_seconds=0)
    assert isinstance(report, JobReport)
    assert report.chunks[0].attempts == 2
