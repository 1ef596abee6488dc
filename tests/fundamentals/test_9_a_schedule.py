"""Fundamentals, 9: a job that runs again and again names its videos by date, and replaces none silently."""

from datetime import datetime
from pathlib import Path

import pytest

from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_the_date_is_in_the_name(tmp_path: Path) -> None:
    """The date in the name is the day for which the run was planned; for a run started by hand it is today."""
    before = datetime.now().astimezone()
    report = await render_job(make_job((5,)), job_dir=str(tmp_path), output_file="film-{date}.mp4")
    assert isinstance(report, JobReport)
    days = (before, datetime.now().astimezone())
    assert report.output in [str(tmp_path / f"film-{day:%Y-%m-%d}.mp4") for day in days]


async def test_a_video_that_is_there_stays(tmp_path: Path) -> None:
    """A run with overwrite=False, the default of scheduled runs, does not replace a video."""
    (tmp_path / "film.mp4").write_text("the video of yesterday")
    state = await render_job(
        make_job((5,)), job_dir=str(tmp_path), output_file="film.mp4", overwrite=False, return_state=True
    )
    assert "film.mp4 is there already, and this run may not replace it" in (state.message or "")
    assert (tmp_path / "film.mp4").read_text() == "the video of yesterday"
    assert not (tmp_path / "chunk 0.mp4").exists()
