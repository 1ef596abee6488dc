"""Stills, and folders where files were ordered."""

from pathlib import Path

import pytest

from testbed.images import image_job, image_number
from testbed.jobs import make_job
from tests.running import leftovers, render

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_a_still(tmp_path: Path) -> None:
    """A chunk of one frame may write an image without a number in its name, at any rate."""
    job = image_job([1], start=30, output="poster.png", ranges=False)
    job["metadata"]["fps"] = "30000/1001"
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert image_number(tmp_path / "poster.png") == 30
    assert report.images is not None
    assert report.images.path == str(tmp_path / "poster.png")


async def test_a_folder_where_a_file_was_ordered(tmp_path: Path) -> None:
    """A command that makes a folder of its output's name has failed by its own doing, and the folder is removed."""
    job = make_job((3,))
    chunk = job["chunks"][0]
    chunk |= {"outputFile": "frames", "command": 'sh -c \'mkdir "$0" && touch "$0/1.png"\' frames'}
    state, report = await render(tmp_path, job, retries=0, environment_retries=2)
    assert state.is_failed()
    assert "is a directory" in str(state.message)
    assert "####" in str(state.message)
    assert [(chunk.command_failures, chunk.environment_failures) for chunk in report.chunks] == [(1, 0)]
    assert leftovers(tmp_path) == []
