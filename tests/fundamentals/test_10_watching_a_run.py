"""Fundamentals, 10: Prefect is the record; the package `farm` reads it, as the command line does."""

from pathlib import Path

import pytest

import farm
from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import make_job
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_what_is_known_of_a_run(tmp_path: Path) -> None:
    """A run's state, chunks, progress, log and report are read by its id."""
    done = await render_job(make_job((5, 5), outputFile="video.mp4"), job_dir=str(tmp_path))
    assert isinstance(done, JobReport)
    run = await farm.wait(done.run_id)
    assert run.state == "completed"
    completed = {"chunk-0": "Completed", "chunk-1": "Completed", "stitch": "Completed"}

    async def are_recorded() -> bool:
        return {chunk.name: chunk.state for chunk in await farm.chunks(run)} == completed

    await eventually(are_recorded)
    progress = await farm.progress(run)
    assert progress is not None
    assert (progress.frames, progress.total_frames, progress.chunks) == (10, 10, 2)

    async def is_logged() -> bool:
        lines = [line.message async for line in farm.logs(run)]
        return any(line.startswith("Accepted: frames 0 to 4") for line in lines)

    await eventually(is_logged)  # a process sends its lines in batches
    assert await farm.report(run) == done
    assert done.run_id in [str(found.run.id) for found in await farm.list_runs()]
