"""The example's frames can be read back by a machine, and any worker draws them alike."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from examples.orrery import FRAMES, HEIGHT, WIDTH, frame_code, music, scene
from helios.job.source import load_job_spec

JOB = Path(__file__).parents[2] / "examples" / "orrery" / "job.json"


@pytest.mark.parametrize("number", [0, 1, 137, 299, 65535])
def test_numbers_survive_the_drawing(number: int) -> None:
    """A number that is drawn as squares can be read back."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame_code.draw(image, number)
    assert frame_code.read(image[:, :, 0]) == number


def test_frames_depend_on_their_number_alone() -> None:
    """A frame that is drawn again is the same to the bit, and neighbouring frames differ."""
    first, second = scene.draw(150), scene.draw(151)
    assert np.array_equal(scene.draw(150), first)
    assert not np.array_equal(first, second)


def test_a_chunk_of_the_example(tmp_path: Path) -> None:
    """The renderer's video has the frames that were asked for."""
    words = ["frames", "298", "2", str(tmp_path / "chunk.mp4")]
    subprocess.run([sys.executable, "-m", "examples.orrery", *words], check=True, capture_output=True, timeout=300)
    with av.open(str(tmp_path / "chunk.mp4")) as video:
        assert [frame_code.read(frame.to_ndarray(format="gray")) for frame in video.decode(video=0)] == [298, 299]


def test_the_music_has_no_gap() -> None:
    """The music is ten seconds of stereo without clipping and without a gap."""
    sound = music.compose()
    assert sound.shape == (480_000, 2)
    assert np.abs(sound).max() < 32_767
    body = np.abs(sound[4800:-24_000]).max(axis=1)
    assert body[: len(body) // 480 * 480].reshape(-1, 480).max(axis=1).min() > 300


def test_the_job_is_the_whole_composition() -> None:
    """The committed document renders all frames, 25 to a chunk."""
    spec = load_job_spec(str(JOB))
    assert spec.metadata.total_frames == FRAMES
    assert (spec.metadata.width, spec.metadata.height) == (WIDTH, HEIGHT)
    assert {chunk.frame_count for chunk in spec.chunks} == {25}
