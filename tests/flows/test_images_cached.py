"""Images in a cache of outputs: what one job has rendered, another takes."""

import logging
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import JobReport, ReusedFrom
from testbed.images import image_job
from testbed.video import read_numbers
from tests.flows.test_images import begun, numbers
from tests.running import leftovers, render

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for jobs' folders, a cache, and the notes of all commands."""
    (tmp_path / "notes").mkdir()
    return tmp_path


async def render_in(folder: Path, *words: str, **fields: Any) -> JobReport:
    """Render a job of two chunks in a folder of its own, with the cache beside it."""
    folder.mkdir(exist_ok=True)
    parameters = {name: fields.pop(name) for name in ("retries", "output_file") if name in fields}
    job = image_job([6, 4], extra=["--notes", str(folder.parent / "notes"), *words], **fields)
    state, report = await render(folder, job, cache=str(folder.parent / "cache"), **parameters)
    assert state.is_completed(), state.message
    assert leftovers(folder) == []
    return report


def rendered(place: Path) -> list[int]:
    """The frames that were rendered since the last look."""
    found = begun(place)
    for note in (place / "notes").iterdir():
        note.unlink()
    return found


async def test_another_job_takes_the_images(place: Path) -> None:
    """A job with other names for its images copies them from the cache, under its own names, and encodes its video."""
    await render_in(place / "first", id=f"first {place}")
    assert rendered(place) == list(range(1, 11))
    assert len(list((place / "cache" / "outputs").iterdir())) == 2
    video = place / "second" / "video.mp4"
    report = await render_in(place / "second", output="pictures/#####.png", output_file=str(video), id=f"2nd {place}")
    assert rendered(place) == []
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 2
    assert report.images is not None
    assert (report.images.count, report.images.rendered) == (10, 0)
    first, second = place / "first" / "frames", place / "second" / "pictures"
    assert [path.name for path in sorted(second.iterdir())] == [f"{frame:05d}.png" for frame in range(1, 11)]
    for frame in range(1, 11):
        assert (second / f"{frame:05d}.png").read_bytes() == (first / f"shot_{frame:04d}.png").read_bytes()
    assert read_numbers(video) == list(range(1, 11))
    report = await render_in(place / "second", output="pictures/#####.png", id=f"2nd {place}")
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.EARLIER_RUN] * 2


async def test_a_damaged_archive_is_a_miss(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A chunk whose archive in the cache was damaged is rendered, and put there anew."""
    caplog.set_level(logging.WARNING)
    await render_in(place / "first", id=f"first {place}")
    rendered(place)
    archive = next((place / "cache" / "outputs").iterdir())
    data = bytearray(archive.read_bytes())
    data[600] ^= 1
    archive.write_bytes(data)
    report = await render_in(place / "second", id=f"second {place}")
    (damaged,) = [chunk.id for chunk in report.chunks if chunk.reused_from is None]
    assert rendered(place) == [list(range(1, 7)), list(range(7, 11))][damaged]
    assert "its output in the cache was damaged" in caplog.text
    report = await render_in(place / "third", id=f"third {place}")
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 2


@pytest.mark.slow
async def test_images_of_several_attempts_are_kept(place: Path) -> None:
    """A chunk that died on the way goes into the cache once it is whole; images of another kind are rendered."""
    words = ("--misbehave", "die", "--at", "3", "--once", str(place / "died"))
    await render_in(place / "first", *words, retries=1, id=f"first {place}")
    assert (place / "died").exists()
    assert rendered(place) == sorted([*range(1, 11), 3])
    report = await render_in(place / "second", *words, id=f"second {place}")
    assert rendered(place) == []
    assert list(numbers(place / "second").values()) == list(range(1, 11))
    report = await render_in(place / "third", *words, output="frames/shot_####.bmp", id=f"third {place}")
    assert [chunk.reused_from for chunk in report.chunks] == [None, None]
