"""Fingerprints are exact means of blocks, and what is kept of a chunk is bounded."""

from array import array
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helios.media.fingerprints import EDGE, PictureTaker
from helios.media.numbers import NUMBERS, distance, pack, shifts, unpack
from helios.media.verify import verify_output
from helios.models.pictures import ChunkPictures, known_pictures
from helios.models.verification import VerifyLevel
from testbed.moving_pictures import HEIGHT, WIDTH, Look, slide, waves, write_pictures


def taken(levels: list[float]) -> ChunkPictures:
    """What is kept of pictures of one gray level each."""
    taker = PictureTaker()
    for level in levels:
        taker.add(array("H", [round(level * 256)] * NUMBERS))
    return taker.result()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuva420p"])
def test_a_fingerprint_has_the_means_of_blocks(pixel_format: str) -> None:
    """Each number is the mean of its block of luma, within a twentieth of a level."""
    picture = np.clip(slide(1)[:176], 0, 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
    taker = PictureTaker()
    taker.take(frame)
    lines = np.frombuffer(bytes(frame.planes[0]), np.uint8).reshape(176, frame.planes[0].line_size)[:, :WIDTH]
    means = lines.reshape(8, 22, 8, WIDTH // 8).mean(axis=(1, 3))
    found = np.array(unpack(taker.result().first[0])[:64]).reshape(8, 8) / 256
    assert np.abs(found - means).max() < 0.05


@pytest.mark.parametrize("pixel_format", ["yuv422p10le", "rgb24", "gbrp10le", "yuvj420p"])
def test_other_pixel_formats_leave_nearly_the_same_fingerprint(pixel_format: str) -> None:
    """The same picture in another pixel format is less than a level away."""
    frame = av.VideoFrame.from_ndarray(np.clip(waves(5), 0, 255).astype(np.uint8), format="rgb24")
    taker = PictureTaker()
    taker.take(frame.reformat(format="yuv420p"))
    taker.take(frame.reformat(format=pixel_format))
    kept = taker.result()
    assert distance(unpack(kept.first[0]), unpack(kept.first[1])) < 1


def test_a_fingerprint_survives_its_text() -> None:
    """A fingerprint is 256 characters of text, from which the same numbers are read."""
    numbers = array("H", [value * 600 for value in range(NUMBERS)])
    assert len(pack(numbers)) == 256
    assert unpack(pack(numbers)) == numbers
    with pytest.raises(ValueError, match="2 numbers instead of 96"):
        unpack("AAAAAA==")


def test_distance_and_shift_are_in_levels() -> None:
    """A picture that is brighter by three levels is three levels away, and has shifted by three."""
    one, other = array("H", [2560] * NUMBERS), array("H", [2560 + 3 * 256] * NUMBERS)
    assert distance(one, other) == pytest.approx(3)
    assert shifts(one, other) == (3, 3)


@pytest.mark.parametrize("count", [1, 2, EDGE, 1000])
def test_what_is_kept_does_not_grow_with_the_chunk(count: int) -> None:
    """A chunk of a thousand frames leaves as much as one of six: about 3 kB."""
    kept = taken([n % 200 for n in range(count)])
    assert len(kept.first) == len(kept.last) == min(count, EDGE)
    assert len(kept.model_dump_json()) < 3200
    assert (kept.steps is None) == (count == 1)


def test_the_longest_stretches_are_kept() -> None:
    """The longest black and the longest still stretch are kept, with the steps into them and out of them."""
    kept = taken([100, 16, 16, 100, 16, 16, 16, 16, 90, 80])
    assert (kept.black.start, kept.black.frames, kept.black.entry, kept.black.exit) == (4, 4, 84, 74)
    assert (kept.frozen.start, kept.frozen.frames) == (5, 3)
    assert kept.steps is not None
    assert (kept.steps.smallest, kept.steps.largest) == (0, 84)


def test_a_flash_is_kept() -> None:
    """The frame that stands out most from both its neighbours is kept."""
    flash = taken([100, 101, 102, 200, 104, 105]).flash
    assert flash is not None
    assert (flash.frame, flash.height, flash.gap) == (3, 96, 2)


def test_pictures_of_another_version_count_as_none() -> None:
    """Kept pictures that can't be read here count as none; fields that are not known are left aside."""
    kept = taken([1, 2, 3])
    assert known_pictures(kept.model_dump() | {"later": 1}) == kept
    assert known_pictures(kept.model_dump() | {"first": ["@" * 256]}) is None
    assert known_pictures({"first": []}) is None


def test_decoding_takes_the_pictures_in_the_order_shown(tmp_path: Path) -> None:
    """With B-frames, the first and the last fingerprint are those of the first and the last frame shown."""
    pictures = [waves(n) for n in range(12)]
    path = write_pictures(tmp_path / "clip.mp4", pictures, Look(options={"preset": "medium", "crf": "10", "bf": "5"}))
    found = verify_output(
        path, frames=12, fps=Fraction(30), width=WIDTH, height=HEIGHT, level=VerifyLevel.PICTURES
    ).pictures
    assert found is not None
    for kept, shown in zip((*found.first, *found.last), (*range(EDGE), *range(12 - EDGE, 12)), strict=True):
        taker = PictureTaker()
        taker.take(av.VideoFrame.from_ndarray(np.clip(pictures[shown], 0, 255).astype(np.uint8), format="rgb24"))
        assert distance(unpack(kept), unpack(taker.result().first[0])) < 1
