"""Fundamentals, 7: workers that share no disk with the orchestrator get the job from storage and put outputs there."""

from pathlib import Path

import pytest

from flows.render import render_job
from helios.models.report import JobReport
from testbed.cloud.aws import Aws
from testbed.jobs import make_job
from testbed.video import read_numbers

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_the_same_job_by_lambda_functions(tmp_path: Path, amazon: Aws) -> None:
    """With another adapter, Lambda functions render the same job, and the video is as exact."""
    job = make_job((5, 5, 5), outputFile="video.mp4")
    report = await render_job(job, adapter=amazon.config, job_dir=str(tmp_path))
    assert isinstance(report, JobReport)
    assert {chunk.adapter for chunk in report.chunks} == {"aws-lambda"}
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))
