"""A job that goes on after chunks have failed for good."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import RunState
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.running import leftovers, render

pytestmark = pytest.mark.usefixtures("prefect_api")

CHUNKS, FRAMES = 6, 5


def job_of(folder: Path, *failing: int) -> dict[str, Any]:
    """A job some of whose chunks fail until there is the file `mended`."""
    job = make_job([FRAMES] * CHUNKS, outputFile="video.mp4", id=f"holes {folder}")
    for index in failing:
        chunk = job["chunks"][index]
        script = f'test -e {mended(folder)} || {{ echo "no texture" >&2; exit 3; }}; exec "$@"'
        chunk["command"] = shlex.join(["sh", "-c", script, "sh", *shlex.split(chunk["command"])])
    return job


def mended(folder: Path) -> Path:
    """A file beside the job directory, where it is none of the job's inputs."""
    return folder.with_name(f"{folder.name}-mended")


def states(report: Any) -> list[str]:
    """What became of each chunk."""
    return [chunk.state.value for chunk in report.chunks]


async def test_all_others_are_rendered(tmp_path: Path) -> None:
    """The job fails at its end, says which frames are missing, joins nothing; a later run renders these alone."""
    state, report = await render(tmp_path, job_of(tmp_path, 1, 4), max_failed_chunks=2)
    assert state.is_failed()
    assert report.state is RunState.FAILED
    assert states(report) == ["completed", "failed", "completed", "completed", "failed", "completed"]
    assert state.message is not None
    assert state.message.startswith("2 chunks failed for good; missing are the frames 5 to 9, 20 to 24\n")
    assert state.message.count("no texture") == 2
    assert state.message.endswith("\n  Nothing was joined; the other 4 chunks are accepted")
    assert not (tmp_path / "video.mp4").exists()
    assert leftovers(tmp_path) == []

    mended(tmp_path).touch()
    state, report = await render(tmp_path, job_of(tmp_path, 1, 4), max_failed_chunks=2)
    assert state.is_completed(), state.message
    assert [chunk.attempts for chunk in report.chunks] == [0, 1, 0, 0, 1, 0]
    assert read_numbers(tmp_path / "video.mp4") == list(range(CHUNKS * FRAMES))


async def test_one_more_than_may_fail(tmp_path: Path) -> None:
    """The job stops at once, and names the chunks that have failed."""
    state, report = await render(tmp_path, job_of(tmp_path, 0, 1, 2, 3, 4, 5), max_failed_chunks=1, concurrency=1)
    assert state.is_failed()
    assert states(report) == ["failed"] * 2 + ["pending"] * 4
    assert state.message is not None
    assert state.message.startswith("2 chunks failed for good; missing are the frames 0 to 4, 5 to 9\n")


async def test_none_may_fail_by_default(tmp_path: Path) -> None:
    """The first chunk that fails for good stops the job, with its own words."""
    state, report = await render(tmp_path, job_of(tmp_path, 0, 1), concurrency=1)
    assert states(report) == ["failed"] + ["pending"] * 5
    assert state.message is not None
    assert state.message.startswith("chunk 0 (frames 0 to 4), attempt 1: ")
