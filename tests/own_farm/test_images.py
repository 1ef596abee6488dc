"""Jobs of images over a farm: each image comes from its node by itself, also from one that died."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helios.job.attempts import image_frame
from testbed.cloud.own_farm import OwnFarm
from testbed.jobs import write_job
from testbed.video import read_numbers
from tests.command import helios_job, start_helios_job, until
from tests.flows.test_images import begun, noted, numbers
from tests.running import eventually, leftovers, render

Stored = Callable[[], list[int]]
pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A job directory; the notes of commands are not in it, since all that is there goes to the nodes."""
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


@pytest.fixture
def stored(farm: OwnFarm) -> Stored:
    """The frames of the images that nodes have delivered since the test began, and that are not accepted yet."""

    def images() -> set[Path]:
        return set((farm.folder / "handed-out" / "jobs").rglob("*image-*"))

    earlier = images()  # of a job that failed: it may be resumed

    def frames() -> list[int]:
        found = [image_frame(path.as_posix()) for path in images() - earlier]
        return sorted(frame for frame in found if frame is not None)

    return frames


@pytest.mark.slow  # as in tests/flows/test_images.py; the next test has nodes
async def test_a_chunk_that_dies_on_a_node_renders_the_rest(farm: OwnFarm, place: Path, stored: Stored) -> None:
    """Of a chunk whose command dies at its eighth image of ten, the next node renders three; the video has all."""
    words = ("--misbehave", "die", "--at", "8", "--once", str(place.parent / "died"))
    job: dict[str, Any] = noted(place.parent, *words, outputFile="video.mp4")
    state, report = await render(place, job, adapter=farm.config, retries=1)
    assert state.is_completed(), state.message
    assert begun(place.parent) == sorted([*range(1, 21), 8])
    assert list(numbers(place).values()) == list(range(1, 21))
    assert read_numbers(place / "video.mp4") == list(range(1, 21))
    assert [chunk.attempts for chunk in report.chunks] == [2, 1]
    assert leftovers(place) == []
    assert stored() == []


@pytest.mark.slow
async def test_images_of_a_node_that_was_killed(farm: OwnFarm, place: Path, stored: Stored) -> None:
    """Images that a node had finished before it died are there, and another node renders the others."""
    words = ("--misbehave", "hang", "--at", "7", "--once", str(place.parent / "hung"))
    job = noted(place.parent, *words, sizes=[10])
    work = asyncio.create_task(render(place, job, adapter=farm.config))

    async def are_stored() -> bool:
        assert not work.done(), work.result()
        return stored() == list(range(1, 7))

    await eventually(are_stored)
    (name,) = [node for node in farm.nodes if farm.commands(node)]
    farm.nodes[name].kill()
    state, report = await work
    assert state.is_completed(), state.message
    assert begun(place.parent) == sorted([*range(1, 11), 7])
    assert list(numbers(place).values()) == list(range(1, 11))
    assert report.chunks[0].environment_failures == 1
    farm.start_node(name)


@pytest.mark.slow
def test_a_run_that_was_killed(farm: OwnFarm, place: Path, stored: Stored) -> None:
    """After SIGKILL of the run, the next one takes what nodes had delivered, and renders the rest."""
    words = ("--misbehave", "hang", "--at", "7", "--once", str(place.parent / "hung"))
    job = write_job(place, noted(place.parent, *words, sizes=[10], id=f"killed {place}"))
    order = ("run", job, "--adapter", "farm", "--adapter-config", json.dumps(farm.config))
    process = start_helios_job(*order)
    until(lambda: stored() == list(range(1, 7)) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    done = helios_job(*order)
    assert done.returncode == 0, done.stderr
    assert begun(place.parent) == sorted([*range(1, 11), 7])
    assert list(numbers(place).values()) == list(range(1, 11))
    assert "4 of them rendered now" in done.stdout
    assert stored() == []


@pytest.mark.slow  # tests/helios/worker/test_images.py has it without a farm
async def test_other_numbers_than_the_frames(farm: OwnFarm, place: Path) -> None:
    """Images of other frames than those that were ordered are taken for none of them, however often it is tried."""
    job = noted(place.parent, "--misbehave", "extra", "--at", "5", sizes=[5])
    state, _ = await render(place, job, adapter=farm.config, retries=1)
    assert state.is_failed()
    assert "The command wrote shot_0006.png; expected shot_0001.png to shot_0005.png alone" in str(state.message)
    assert begun(place.parent) == sorted([*range(1, 6), *range(1, 6)])
    assert not list(place.rglob("shot_*"))
