"""Jobs whose chunks write images: each image is verified, accepted, recorded and reused by itself."""

import logging
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import RunState
from helios.models.verification import VerifyLevel
from testbed.images import image_job, image_number
from tests.running import leftovers, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


def noted(folder: Path, *words: str, **fields: Any) -> dict[str, Any]:
    """A job whose commands leave a note of each image that they begin."""
    (folder / "notes").mkdir(exist_ok=True)
    return image_job(extra=["--notes", str(folder / "notes"), *words], **fields)


def begun(folder: Path) -> list[int]:
    """The frames whose images were begun, as often as they were."""
    return sorted(int(note.name.partition("-")[0]) for note in (folder / "notes").iterdir())


def numbers(folder: Path, pattern: str = "shot_*.png") -> dict[str, int]:
    """By name, the numbers that images show."""
    return {path.name: image_number(path) for path in sorted((folder / "frames").glob(pattern))}


# tests/helios/media/test_image_file.py verifies files of every kind, without a flow.
SLOW_KINDS = [pytest.param(suffix, marks=pytest.mark.slow) for suffix in (".jpg", ".tif", ".dpx", ".webp", ".bmp")]


@pytest.mark.parametrize("suffix", [".png", ".exr", *SLOW_KINDS])
async def test_a_sequence_of_each_kind(tmp_path: Path, suffix: str) -> None:
    """Chunks write images, which lie in the job directory under their frames' numbers, and are the job's result."""
    job = image_job([3, 2], start=9, output=f"frames/shot_####{suffix}")
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert numbers(tmp_path, "*") == {f"shot_{number:04d}{suffix}": number for number in range(9, 14)}
    assert leftovers(tmp_path) == []
    images = report.images
    assert images is not None
    assert (images.first, images.last, images.count, images.rendered) == (9, 13, 5, 5)
    assert images.path == str(tmp_path / "frames" / f"shot_####{suffix}")
    assert images.bytes == sum(path.stat().st_size for path in (tmp_path / "frames").iterdir())
    assert report.output is None


async def test_a_chunk_that_dies_renders_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a chunk whose command dies at its eighth image of ten, the next attempt renders three."""
    caplog.set_level(logging.INFO)
    words = ("--misbehave", "die", "--at", "8", "--once", str(tmp_path / "died"))
    state, report = await render(tmp_path, noted(tmp_path, *words), retries=1)
    assert state.is_completed(), state.message
    assert (tmp_path / "died").exists()
    assert begun(tmp_path) == sorted([*range(1, 21), 8])
    assert "7 images are kept of this attempt" in caplog.text
    assert list(numbers(tmp_path).values()) == list(range(1, 21))
    assert leftovers(tmp_path) == []
    assert [chunk.attempts for chunk in report.chunks] == [2, 1]


async def test_a_failed_job_renders_only_images_that_are_missing(tmp_path: Path) -> None:
    """A run that is resumed renders what no attempt had written whole, and reuses the rest."""
    words = ("--misbehave", "die-in-the-middle", "--at", "8", "--once", str(tmp_path / "died"))
    state, report = await render(tmp_path, noted(tmp_path, *words), concurrency=1)
    assert state.is_failed()
    assert report.images is None
    assert list(numbers(tmp_path).values()) == list(range(1, 8))
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == sorted([*range(1, 21), 8])
    assert list(numbers(tmp_path).values()) == list(range(1, 21))
    assert report.images is not None
    assert report.images.rendered == 13
    assert [chunk.kept_images for chunk in report.chunks] == [7, 0]


async def test_a_command_without_ranges_renders_its_chunk_again(tmp_path: Path) -> None:
    """Without a command for parts of chunks, a chunk that lacks images is rendered as a whole."""
    words = ("--misbehave", "die", "--at", "8", "--once", str(tmp_path / "died"))
    state, _ = await render(tmp_path, noted(tmp_path, *words, ranges=False), retries=1)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == sorted([*range(1, 21), *range(1, 9)])
    assert list(numbers(tmp_path).values()) == list(range(1, 21))


async def test_a_finished_sequence_is_reused(tmp_path: Path) -> None:
    """A run of a job whose images are all there runs no command; images that were deleted or changed are rendered."""
    _, report = await render(tmp_path, noted(tmp_path))
    assert begun(tmp_path) == list(range(1, 21))
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == list(range(1, 21))
    assert [chunk.reused for chunk in report.chunks] == [True, True]
    (tmp_path / "frames" / "shot_0003.png").unlink()
    (tmp_path / "frames" / "shot_0007.png").write_bytes(b"\x89PNG")
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == sorted([*range(1, 21), 3, 7])
    assert list(numbers(tmp_path).values()) == list(range(1, 21))
    assert [chunk.kept_images for chunk in report.chunks] == [8, 10]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("half", "shot_0004.png is damaged"),
        # What else is wrong is found by the same look: tests/helios/worker/test_images.py and tests/helios/media.
        *(
            pytest.param(*wrong, marks=pytest.mark.slow)
            for wrong in (
                ("skip", "shot_0004.png was not written"),
                ("empty", "shot_0004.png is empty"),
                ("other-size", "shot_0004.png is 32×32 pixels; expected 64×64"),
                ("other-depth", "shot_0004.png has depth 16 bits instead of 8 bits"),
            )
        ),
    ],
)
async def test_a_wrong_image_is_rendered_again(tmp_path: Path, how: str, said: str) -> None:
    """An image that is not what was ordered fails its attempt with its name, and is the only one rendered again."""
    words = ("--misbehave", how, "--at", "4", "--once", str(tmp_path / "was-wrong"))
    # One at a time: the other chunk would be stopped while it writes an image, which it would begin again.
    state, report = await render(tmp_path, noted(tmp_path, *words), concurrency=1)
    assert state.is_failed()
    assert said in str(state.message)
    assert report.chunks[0].state is RunState.FAILED
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path).count(4) == 2
    assert len(begun(tmp_path)) == 21
    assert list(numbers(tmp_path).values()) == list(range(1, 21))


async def test_other_numbers_than_the_frames(tmp_path: Path) -> None:
    """Images that are numbered from 0 instead of from the chunk's first frame are refused, with what to do."""
    job = image_job([5], start=3)
    job["chunks"][0]["command"] = job["chunks"][0]["command"].replace(" 3 5 ", " 0 5 ")
    state, _ = await render(tmp_path, job)
    assert state.is_failed()
    said = "The command wrote shot_0000.png to shot_0002.png; expected shot_0003.png to shot_0007.png alone"
    assert said in str(state.message)
    assert list((tmp_path / "frames").iterdir()) == []


async def test_what_images_show_is_looked_at(tmp_path: Path) -> None:
    """At the level `pictures`, images are compared as frames are; further files of a command lie beside them."""
    job = noted(tmp_path, "--pass", "shot_{}_depth.png", ranges=False, id=f"passes {tmp_path}")
    state, report = await render(tmp_path, job, verify="pictures")
    assert state.is_completed(), state.message
    assert {chunk.verified for chunk in report.chunks} == {VerifyLevel.PICTURES}
    assert len(numbers(tmp_path, "shot_*_depth.png")) == 20


async def test_images_are_rendered_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    """A fresh run takes no image of an earlier run; what it has rendered itself it takes when it is resumed."""
    job = noted(tmp_path, id=f"anew {tmp_path}")
    state, _ = await render(tmp_path, job)
    assert state.is_completed(), state.message
    words = ("--misbehave", "die", "--at", "8", "--once", str(tmp_path / "died"))
    job = noted(tmp_path, *words, id=f"anew {tmp_path}")
    state, report = await render(tmp_path, job, fresh=True, concurrency=1)
    assert state.is_failed()
    anew = len(begun(tmp_path)) - 20  # the chunk that took longer is the first one now
    assert [begun(tmp_path).count(frame) for frame in range(1, 11)] == [2] * 8 + [1] * 2
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == sorted([*range(1, 21), *range(1, 21), 8])
    assert report.images is not None
    assert report.images.rendered == 20 - (anew - 1)


@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_images_of_others_are_kept(tmp_path: Path, *, named: bool) -> None:
    """An image that no job wrote is moved aside and never deleted, also where the command fails."""
    (tmp_path / "frames").mkdir()
    for name in ("shot_0002.png", "shot_0012.png", "shot_0099.png"):
        (tmp_path / "frames" / name).write_text(f"the artist's {name}")
    words = ("--misbehave", "fail", "--at", "2", "--once", str(tmp_path / "failed"))
    state, report = await render(tmp_path, noted(tmp_path, *words, named=named), concurrency=1)
    assert state.is_failed()
    kept = {path.name: path.read_text() for path in tmp_path.rglob("shot_*") if b"artist" in path.read_bytes()}
    assert set(kept) == {"shot_0002.png", "shot_0012.png", "shot_0099.png"}
    state, report = await resume(report)
    assert state.is_completed(), state.message
    kept = {path.name: path.read_text() for path in tmp_path.rglob("shot_*") if b"artist" in path.read_bytes()}
    assert {name: kept[name] for name in kept} == {name: f"the artist's {name}" for name in kept}
    assert set(kept) == {"shot_0002.png", "shot_0012.png", "shot_0099.png"}
    (tmp_path / "frames" / "shot_0099.png").unlink()
    assert list(numbers(tmp_path).values()) == list(range(1, 21))
    assert begun(tmp_path) == sorted([*range(1, 21), 2])
