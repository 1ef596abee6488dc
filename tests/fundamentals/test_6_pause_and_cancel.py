"""Fundamentals, 6: a run does what its state in Prefect asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Pending

import farm
from farm.here import start_flow
from flows.render import render_job
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("prefect_api")


@asynccontextmanager
async def a_run(folder: Path) -> AsyncIterator[tuple[str, asyncio.Task[object]]]:
    """Start a run whose commands wait for a file `all`; yield its id, and the task that carries it out."""
    notes = folder / "notes"
    notes.mkdir()
    job = make_job([5] * 4, extra=["--notes", str(notes), "--misbehave", f"until:{folder}"], outputFile="video.mp4")
    parameters = {"job": job, "job_dir": str(folder), "concurrency": 2, "retries": 0}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=parameters, state=Pending())
    work: asyncio.Task[object] = asyncio.create_task(start_flow(run, parameters))

    async def are_begun() -> bool:
        return len(list(notes.iterdir())) == 2

    await eventually(are_begun)
    try:
        yield str(run.id), work
    finally:
        work.cancel()
        await asyncio.wait([work])


async def test_a_paused_run_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    """Chunks in flight finish, nothing new starts; after the resume the video is whole."""
    async with a_run(tmp_path) as (run, work):
        await farm.pause(run)
        assert (await farm.status(run)).state == "paused"

        async def is_paused() -> bool:
            progress = await farm.progress(run)
            return progress is not None and progress.is_paused

        async def two_are_accepted() -> bool:
            progress = await farm.progress(run)
            return progress is not None and progress.is_paused and progress.chunks == 2

        # The run polls its state: a chunk that ends before the run has read the pause is followed by another chunk.
        await eventually(is_paused)
        (tmp_path / "all").touch()
        await eventually(two_are_accepted)
        await farm.resume(run)
        await work
    assert (await farm.status(run)).state == "completed"
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))


async def test_a_cancelled_run_leaves_no_process(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancelled run ends, although its commands would wait for ever, and it is Cancelled."""
    async with a_run(tmp_path) as (run, work):
        assert processes_of(tmp_path)
        await farm.cancel(run)
        await work
    assert processes_of(tmp_path) == []
    assert (await farm.status(run)).state == "cancelled"
    assert not (tmp_path / "video.mp4").exists()
