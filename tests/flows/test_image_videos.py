"""A video from images: each chunk is encoded once its images are accepted, and then the chunks are joined."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from prefect.client.schemas.objects import State

from flows.render import render_job
from testbed.images import image_job
from testbed.jobs import make_job
from testbed.video import read_frames, read_numbers, write_tone
from tests.flows.test_images import begun, noted, numbers
from tests.running import leftovers, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.mark.parametrize(
    ("video", "codec", "fields"),
    [
        ("video.mp4", "h264", {}),
        ("video.mkv", "ffv1", {"encode": {"codec": "ffv1"}}),
        # tests/helios/encode/test_words.py has every codec, without a flow.
        pytest.param("video.webm", "vp9", {}, marks=pytest.mark.slow),
        pytest.param("video.mov", "prores", {"encode": {"codec": "prores"}}, marks=pytest.mark.slow),
    ],
)
async def test_images_and_their_video(tmp_path: Path, video: str, codec: str, fields: dict[str, Any]) -> None:
    """A job with an output file has both: its images, and a video of them with each at its time."""
    job = image_job([5, 4, 3], start=7, outputFile=video, **fields)
    job["metadata"]["fps"] = "24000/1001"
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    frames = read_frames(tmp_path / video)
    assert [number for number, _ in frames] == list(range(7, 19))
    assert report.video is not None
    assert report.images is not None
    assert (report.video.frames, report.images.count) == (12, 12)
    with av.open(str(tmp_path / video)) as media:
        assert media.streams.video[0].codec_context.codec.canonical_name == codec
    assert list(numbers(tmp_path).values()) == list(range(7, 19))
    assert leftovers(tmp_path) == []
    assert not (tmp_path / ".helios" / "encoded").exists()


async def test_a_video_of_images_that_are_there(tmp_path: Path) -> None:
    """A video that is asked for later, or anew with sound, is encoded from the images without rendering any."""
    write_tone(tmp_path / "music.wav", seconds=1.0)
    _, report = await render(tmp_path, noted(tmp_path))
    state, report = await resume(report, output_file="video.mp4", audio_file="music.wav")
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(1, 21))
    assert report.video is not None
    assert report.video.audio_codec == "aac"
    assert begun(tmp_path) == list(range(1, 21))


async def test_one_changed_image_changes_the_video(tmp_path: Path) -> None:
    """After an image was lost, it alone is rendered, and the video is made anew from all."""
    _, report = await render(tmp_path, noted(tmp_path, outputFile="video.mp4"))
    (tmp_path / "frames" / "shot_0013.png").unlink()
    (tmp_path / "video.mp4").unlink()
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == sorted([*range(1, 21), 13])
    assert read_numbers(tmp_path / "video.mp4") == list(range(1, 21))


async def test_colors_are_those_of_the_images(tmp_path: Path) -> None:
    """A red image is red in the video, which says that its colors are those of BT.709."""
    job = image_job([2], start=0, outputFile="video.mp4", ranges=False)
    job["chunks"][0]["command"] += " --red"
    state, _ = await render(tmp_path, job)
    assert state.is_completed(), state.message
    with av.open(str(tmp_path / "video.mp4")) as media:
        frame = next(media.decode(video=0))
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
    red = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)
    assert np.abs(red - np.array([200, 20, 20])).max() < 4


async def test_a_merge_command_gets_the_images(tmp_path: Path) -> None:
    """A job's own merge command runs once all images are accepted."""
    job = image_job([3], start=1, mergeCommand="sh -c 'cat frames/shot_000[123].png > all.bin'")
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert report.merged
    sizes = [path.stat().st_size for path in (tmp_path / "frames").iterdir()]
    assert (tmp_path / "all.bin").stat().st_size == sum(sizes)


@pytest.mark.slow
async def test_an_animation_of_images(tmp_path: Path) -> None:
    """Images become a GIF, and a run that asks for a WebP renders none of them again; nothing else is left."""
    document = image_job([3, 4], start=1, id="moving")
    state, report = await render(tmp_path, document, output_file="a.gif")
    assert state.is_completed(), state.message
    assert [number for number, _ in read_frames(tmp_path / "a.gif")] == list(range(1, 8))
    assert report.video is not None
    assert (report.video.path, report.video.frames) == (str(tmp_path / "a.gif"), 7)
    state, report = await render(tmp_path, document, output_file="a.webp")
    assert state.is_completed(), state.message
    assert report.images is not None
    assert report.images.rendered == 0
    assert leftovers(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".helios", "a.gif", "a.webp", "frames", "job.json"]


async def test_an_animation_of_videos(tmp_path: Path) -> None:
    """Chunks of H.264 become a GIF in which each frame is once; sound in it is refused."""
    document = make_job((4, 3))
    state, _ = await render(tmp_path, document, output_file="a.gif")
    assert state.is_completed(), state.message
    assert [number for number, _ in read_frames(tmp_path / "a.gif")] == list(range(7))
    path = str(tmp_path / "job.json")
    refused: State[Any] = await render_job(path, output_file="a.gif", audio_file="music.wav", return_state=True)
    assert "has no sound" in (refused.message or "")
