"""Animations: GIFs as outputs of chunks, and GIFs and WebPs that are made of joined videos."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helios.errors import OutputError, RequestError
from helios.media.animation import animate
from helios.media.animation_kinds import check_animation
from helios.media.stitching import FfmpegStitcher
from helios.media.verify import verify_output
from helios.models.delivery import NO_DELIVERY, Delivery
from helios.models.report import OutputReport
from testbed.video import Clip, accepted, read_frames, write_clip

RATES = [Fraction(10), Fraction(24), Fraction(30000, 1001), Fraction(50)]


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(50)])
def test_a_gif_is_verified_at_its_rate(tmp_path: Path, fps: Fraction) -> None:
    """A GIF of the ordered rate is accepted, although its times are rounded; one of another rate is refused."""
    path = write_clip(tmp_path / "a.gif", Clip(fps=fps, codec="gif", pixel_format="rgb8"), start=0, count=12)
    assert verify_output(path, frames=12, fps=fps, width=64, height=64).frames == 12
    with pytest.raises(OutputError):
        verify_output(path, frames=12, fps=2 * fps, width=64, height=64)


def joined(folder: Path, clip: Clip, *, sizes: tuple[int, ...] = (7, 1, 9)) -> OutputReport:
    """A video that was joined of chunks."""
    inputs, frame = [], 0
    for index, count in enumerate(sizes):
        path = write_clip(folder / f"c{index}.mkv", clip, start=frame, count=count)
        inputs.append(accepted(path, count, f"chunk {index}"))
        frame += count
    return FfmpegStitcher().stitch(inputs, folder / "joined.mkv", fps=clip.fps)


def animated(folder: Path, report: OutputReport, name: str, *, fps: Fraction) -> OutputReport:
    """An animation of it."""
    return animate(
        folder / "joined.mkv", folder / name, report=report, fps=fps, temporary=folder / f"unfinished.{name}"
    )


@pytest.mark.parametrize("fps", RATES)
def test_a_gif_of_a_joined_video(tmp_path: Path, fps: Fraction) -> None:
    """Every frame is there once, in order, and within half a hundredth of a second of its time."""
    report = animated(tmp_path, joined(tmp_path, Clip(fps=fps)), "a.gif", fps=fps)
    found = read_frames(tmp_path / "a.gif")
    assert [number for number, _ in found] == list(range(17))
    assert all(abs(time - index / fps) <= Fraction(1, 200) for index, (_, time) in enumerate(found))
    assert (report.path, report.frames, report.warnings) == (str(tmp_path / "a.gif"), 17, ())
    assert report.bytes == (tmp_path / "a.gif").stat().st_size
    assert sorted(path.name for path in tmp_path.glob("*a.gif*")) == ["a.gif"]


def number_of(image: Image.Image) -> int:
    """The number that a picture shows."""
    grey = np.asarray(image.convert("L").resize((4, 4), Image.Resampling.BOX)).reshape(16)
    return sum(1 << bit for bit in range(16) if grey[bit] > 127)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("colours", ["yuv420p", "bgra"])
def test_a_webp_of_a_joined_video(tmp_path: Path, fps: Fraction, colours: str) -> None:
    """Every frame is there once, in order, and each is shown from its time on, to a thousandth of a second."""
    clip = Clip(fps=fps, codec="ffv1" if colours == "bgra" else "libx264", pixel_format=colours)
    animated(tmp_path, joined(tmp_path, clip), "a.webp", fps=fps)
    with Image.open(tmp_path / "a.webp") as image:
        numbers, time = [], 0
        for frame in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(frame)
            image.load()
            numbers.append(number_of(image))
            assert abs(time - 1000 * frame / fps) <= 1
            time += image.info["duration"]
    assert numbers == list(range(17))
    assert abs(time - 1000 * 17 / fps) <= 2


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_a_picture_that_stands_still(tmp_path: Path, name: str) -> None:
    """Equal pictures, which a WebP keeps as one, are shown for as long as they are ordered."""
    clip = Clip(fps=Fraction(25))
    inputs = []
    for index in range(3):
        path = write_clip(tmp_path / f"still-{index}.mp4", clip, start=5, count=1)
        inputs.append(accepted(path, 1, f"chunk {index}"))
    report = FfmpegStitcher().stitch(inputs, tmp_path / "joined.mkv", fps=clip.fps)
    assert animated(tmp_path, report, name, fps=clip.fps).frames == 3


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_sound_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    """An animation has no sound, and its report says that the chunks had."""
    report = animated(tmp_path, joined(tmp_path, Clip(sample_rate=48000)), name, fps=Fraction(30))
    assert report.audio_codec is None
    assert report.warnings == (f"a {Path(name).suffix} has no sound: that of the chunks is left out",)


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_a_video_that_is_damaged(tmp_path: Path, name: str) -> None:
    """Of a video with fewer frames than were joined no animation is left."""
    report = joined(tmp_path, Clip())
    write_clip(tmp_path / "joined.mkv", Clip(), start=0, count=16)
    with pytest.raises(OutputError, match="17"):
        animated(tmp_path, report, name, fps=Fraction(30))
    assert not list(tmp_path.glob("*" + name))


def test_it_repeats_without_end(tmp_path: Path) -> None:
    """Both kinds begin again at their ends."""
    report = joined(tmp_path, Clip())
    for name in ("a.gif", "a.webp"):
        animated(tmp_path, report, name, fps=Fraction(30))
        with Image.open(tmp_path / name) as image:
            assert image.info["loop"] == 0
    with av.open(str(tmp_path / "a.gif")) as video:
        assert video.streams.video[0].codec_context.width == 64


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("a.gif", {"has_sound": True}, "has no sound"),
        ("a.webp", {"delivery": Delivery(metadata={"title": "A"})}, "has no fragments, brand or metadata"),
        ("a.gif", {"fps": Fraction(60)}, "50 frames per second at most, and this job 60"),
        ("a.webp", {"width": 20000}, "16383 pixels a side at most"),
    ],
)
def test_what_an_animation_can_t_be(name: str, wrong: dict[str, object], said: str) -> None:
    """What has no place in an animation is refused before anything runs."""
    order = {"fps": Fraction(30), "width": 64, "height": 64, "has_sound": False, "delivery": NO_DELIVERY}
    check_animation(Path(name), **order)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=said):
        check_animation(Path(name), **order | wrong)  # type: ignore[arg-type]
