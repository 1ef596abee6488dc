"""Fundamentals, 5: a job with an id goes on where it stopped; only what is missing is rendered."""

from pathlib import Path

import pytest

from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import make_job
from testbed.video import read_numbers

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_accepted_chunks_are_reused(tmp_path: Path) -> None:
    """A second run renders the chunk whose output is gone, and reuses the others."""
    job = make_job((5, 5, 5), id=f"resumed in {tmp_path}", outputFile="video.mp4")
    await render_job(job, job_dir=str(tmp_path))
    (tmp_path / "chunk 1.mp4").unlink()
    report = await render_job(job, job_dir=str(tmp_path))
    assert isinstance(report, JobReport)
    assert [chunk.reused for chunk in report.chunks] == [True, False, True]
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))


async def test_a_changed_output_is_not_believed(tmp_path: Path) -> None:
    """Accepted means: these bytes. An output that was changed after its acceptance is rendered again."""
    job = make_job((5, 5), id=f"changed in {tmp_path}")
    await render_job(job, job_dir=str(tmp_path))
    with (tmp_path / "chunk 0.mp4").open("ab") as file:
        file.write(b"more")
    report = await render_job(job, job_dir=str(tmp_path))
    assert isinstance(report, JobReport)
    assert [chunk.reused for chunk in report.chunks] == [False, True]
