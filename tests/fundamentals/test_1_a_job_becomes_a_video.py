"""Fundamentals, 1: a job is cut into chunks; each is rendered by a command; the outputs become one exact video."""

import shlex
import sys
from pathlib import Path

import pytest

from flows.render import render_job
from helios.job.planning import plan_job, split_evenly
from helios.models.report import JobReport
from testbed.jobs import PROGRAM
from testbed.video import read_numbers

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_a_job_becomes_a_video(tmp_path: Path) -> None:
    """A job planned as four chunks is rendered into a video with all 25 frames in order."""
    command = f"{shlex.join([sys.executable, str(PROGRAM)])} {{start}} {{count}} {{output}}"
    job = plan_job(
        split_evenly(25, chunks=4), fps="30", width=64, height=64, command=command, output_pattern="part-{index}.mp4"
    )
    report = await render_job(job.to_document(), job_dir=str(tmp_path), output_file="video.mp4")
    assert isinstance(report, JobReport)
    assert report.frames == 25
    assert read_numbers(tmp_path / "video.mp4") == list(range(25))
