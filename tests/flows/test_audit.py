"""A drawn share of the chunks is rendered a second time, and a job whose renders differ fails before its join."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelling, Pending

from adapters.local import LocalAdapter
from farm.here import start_flow
from farm.runs import find_run, pause_run, resume_run
from flows.render import render_job
from helios.errors import WorkerUnavailableError
from helios.models.audit import AuditReport, AuditVerdict
from helios.models.report import JobReport
from helios.models.worker import WorkerJob, WorkerResult
from testbed.cloud.aws import Aws
from testbed.cloud.google import Google
from testbed.jobs import make_job, moving_job, write_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.flows.test_control import a_job, another_job_is_rendered
from tests.flows.test_remote import left_in_storage
from tests.flows.test_run_page import artifacts_of
from tests.running import eventually, leftovers, render, report_of, task_runs

pytestmark = pytest.mark.usefixtures("prefect_api")


FRAMES = 8
"""Of a chunk."""


def drawn_job(*words: str, **fields: Any) -> dict[str, Any]:
    """A job of three chunks with moving pictures."""
    return moving_job(*words, frames=FRAMES, chunks=3, **fields)


def tries(folder: Path) -> list[int]:
    """How often each chunk was rendered."""
    return [(folder / f"tries-{start}").stat().st_size for start in range(0, 3 * FRAMES, FRAMES)]


def audit_of(report: JobReport) -> AuditReport:
    """The audit that a report has."""
    assert report.audit is not None
    return report.audit


async def test_a_renderer_that_depends_on_the_clock_is_caught(tmp_path: Path) -> None:
    """The job fails before its join, and names chunk, frame, dB, both pictures and the workers; its chunks stay."""
    job = drawn_job("--fault", "clock", "--only", "8", id=f"clock {tmp_path}")
    state, report = await render(tmp_path, job, audit=1.0)
    assert state.is_failed()
    error, audit = str(report.error), audit_of(report)
    assert (
        "The audit failed: chunk 1 (frames 8 to 15), rendered a second time, is not the same: frame 13 differs" in error
    )
    assert "dB (expected at least 45 dB), and " in error
    assert "Rendered both times by " in error
    assert [(chunk.chunk_id, chunk.verdict.value) for chunk in audit.chunks] == [
        (0, "passed"), (1, "different"), (2, "passed")]  # fmt: skip
    found = audit.chunks[1]
    assert audit.verdict is AuditVerdict.DIFFERENT
    assert found.frame == 13
    assert found.lowest_psnr is not None
    assert 5 < found.lowest_psnr < 40
    assert found.same_worker
    for picture in found.pictures:
        assert picture in error
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert tries(tmp_path) == [2, 2, 2]
    assert not (tmp_path / "video.mp4").exists()
    assert leftovers(tmp_path) == []

    page = (await artifacts_of(report.run_id))["render-audit"]
    assert page["description"].startswith("Audit: different. 3 chunks are rendered twice (share 1, seed ")
    assert page["data"].count("data:image/jpeg;base64,") == 1
    assert "![Frame 13: as accepted, and the second time](data:image/jpeg" in page["data"]
    assert "| 0 | passed | equal |" in page["data"]
    runs = await task_runs(report, count=6)
    assert {name: str(run.state_name) for name, run in runs.items() if name.startswith("audit")} == {
        "audit-0": "Completed", "audit-1": "Failed", "audit-2": "Completed"}  # fmt: skip

    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert (tries(tmp_path), report.audit) == ([2, 2, 2], None)


@pytest.mark.slow  # tests/tasks/run/test_audits.py has the draw
async def test_a_share_draws_the_same_chunks_for_the_same_seed(tmp_path: Path) -> None:
    """The report has the draw; the same seed repeats it; a deterministic renderer passes, also where it is reused."""
    job, drawn = make_job([2] * 8, id=f"draw {tmp_path}", outputFile="video.mp4"), []
    for seed in (5, 5, 6):
        state, report = await render(tmp_path, job, audit=0.4, audit_seed=seed)
        assert state.is_completed(), state.message
        audit = audit_of(report)
        assert (audit.share, audit.seed, audit.least_psnr, audit.verdict) == (0.4, seed, 45.0, "passed")
        assert [chunk.lowest_psnr for chunk in audit.chunks] == [None] * 3
        drawn.append([chunk.chunk_id for chunk in audit.chunks])
    assert drawn[0] == drawn[1] == sorted(drawn[0])
    assert drawn[0] != drawn[2]
    assert all(chunk.reused for chunk in report.chunks)
    assert read_numbers(tmp_path / "video.mp4") == list(range(16))
    _, report = await render(tmp_path, job, audit=0.01, chunks=[1, 4])
    assert {chunk.chunk_id for chunk in audit_of(report).chunks} < {1, 4}
    assert json.loads(report.model_dump_json())["audit"]["chunks"][0]["verdict"] == "passed"


async def test_a_second_render_that_fails_fails_the_audit(tmp_path: Path) -> None:
    """A command that fails the second time is not tried again, and its own words are in the error."""
    job = drawn_job("--fault", "exit", "--after", "1", "--only", "8")
    state, report = await render(tmp_path, job, audit=1.0, retries=3)
    assert state.is_failed()
    assert "chunk 1 (frames 8 to 15) could not be rendered a second time: " in str(report.error)
    assert "the licence has expired" in str(report.error)
    assert ".audit-1.log" in str(report.error)
    assert [chunk.verdict.value for chunk in audit_of(report).chunks] == ["passed", "failed", "passed"]
    assert tries(tmp_path) == [2, 2, 2]
    assert [chunk.state for chunk in report.chunks] == ["completed"] * 3
    assert leftovers(tmp_path) == []


async def test_a_failure_of_the_environment_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second render that its environment failed is repeated within the run's bound, and has another number."""
    execute, seen = LocalAdapter.execute, list[int]()

    async def failing(self: LocalAdapter, job: WorkerJob, **words: Any) -> WorkerResult:
        seen.append(job.attempt)
        if job.attempt == 10_001:
            assert job.avoid_worker
            raise WorkerUnavailableError("no machine is free")
        return await execute(self, job, **words)

    monkeypatch.setattr(LocalAdapter, "execute", failing)
    state, report = await render(tmp_path, make_job([2]), audit=1.0)
    assert state.is_completed(), state.message
    assert (audit_of(report).verdict, seen) == (AuditVerdict.PASSED, [1, 10_001, 10_002])
    seen.clear()
    state, report = await render(tmp_path, make_job([2]), audit=1.0, environment_retries=0)
    assert state.is_failed()
    assert "no machine is free" in str(report.error)
    assert seen == [1, 10_001]


async def test_a_cancelled_audit_leaves_nothing(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancel during the second render ends its command, and removes its file; the accepted chunks stay."""
    job = drawn_job("--fault", "hang", "--after", "1", id=f"cancel {tmp_path}")
    path = write_job(tmp_path, job)
    settings = {"job": str(path), "concurrency": 2, "retries": 0, "audit": 1.0}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=settings, state=Pending())
        work = asyncio.create_task(start_flow(run, settings))

        async def hang() -> bool:
            assert not work.done(), work.result()
            return len(list(tmp_path.glob("hangs-*"))) == 2

        await eventually(hang)
        await client.set_flow_run_state(run.id, Cancelling(), force=True)
        state = await work
    assert state.is_cancelled()
    report = await report_of(state)
    assert audit_of(report).verdict is AuditVerdict.PENDING
    assert [chunk.state for chunk in report.chunks] == ["completed"] * 3
    assert (processes_of(tmp_path), leftovers(tmp_path)) == ([], [])
    runs = await task_runs(report, count=5)
    assert sorted(str(run.state_name) for name, run in runs.items() if name.startswith("audit")) == ["Cancelled"] * 2


async def test_a_pause_holds_audits_back(tmp_path: Path) -> None:
    """While a run is paused, the audit in flight finishes, and no other begins; then it goes on."""
    async with a_job(tmp_path, f"until:{tmp_path}", chunks=2, concurrency=1, audit=1.0) as job:
        (tmp_path / "0").touch()
        await job.until_begun(2)
        (tmp_path / "0").unlink()
        (tmp_path / "5").touch()
        await job.until_begun(3)  # chunk 0 for the second time, which waits
        await pause_run(job.client, await find_run(job.client, str(job.run.id)))
        await job.until_paused()  # lets all commands end

        async def is_over() -> bool:
            return leftovers(tmp_path) == []

        await eventually(is_over)
        await another_job_is_rendered(tmp_path)
        assert (job.begun, job.work.done()) == (3, False)
        await resume_run(job.client, await find_run(job.client, str(job.run.id)))
        state = await job.work
    assert state.is_completed(), state.message
    assert (job.begun, audit_of(await report_of(state)).verdict) == (4, AuditVerdict.PASSED)


@pytest.mark.parametrize("cloud", ["amazon", pytest.param("google", marks=pytest.mark.slow)])
@pytest.mark.slow
async def test_an_audit_over_storage(cloud: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Remote renders are compared here, each with the name of its worker; storage is left as it was found."""
    found: Aws | Google = request.getfixturevalue(cloud)
    config = found.config if isinstance(found, Aws) else found.service_config
    job = drawn_job("--fault", "clock", "--only", "8")
    state, report = await render(tmp_path, job, adapter=config, audit=1.0, merge=False)
    assert state.is_failed()
    audit = audit_of(report)
    assert [chunk.verdict.value for chunk in audit.chunks] == ["passed", "different", "passed"]
    assert audit.chunks[1].frame == 13
    assert len(audit.chunks[1].pictures) == 2
    for chunk in audit.chunks:
        assert chunk.rendered_by
        assert chunk.rendered_again_by
        assert chunk.same_worker == (chunk.rendered_by == chunk.rendered_again_by)
        assert chunk.rendered_by == report.chunks[chunk.chunk_id].rendered_by
    assert leftovers(tmp_path) == []
    keys = await left_in_storage(config, report)
    assert any("chunk-1/attempt-1/" in key for key in keys)
    assert any("chunk-1/attempt-10001/" in key for key in keys)
    state, report = await render(tmp_path, drawn_job(), adapter=config, audit=0.5)
    assert state.is_completed(), state.message
    assert (len(audit_of(report).chunks), await left_in_storage(config, report)) == (2, [])


async def test_a_command_that_would_replace_the_accepted_output_is_refused(tmp_path: Path) -> None:
    """Nothing runs where a second render can't have a file of its own."""
    job = make_job([2, 2])
    job["chunks"][1]["command"] = "touch --reference=x chunk"
    state: Any = await render_job(str(write_job(tmp_path, job)), audit=0.01, return_state=True)
    assert state.is_failed()
    assert "Chunk 1 can't be audited: its command does not name its output 'chunk 1.mp4'" in str(state.message)
    assert not list(tmp_path.glob("*.mp4"))
