"""A sequence of images as the source of an encode."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from helios.encode.recipe import Recipe
from helios.errors import RequestError
from testbed.encodes import LOSSLESS, Film, encode
from testbed.image_films import KINDS, image_bytes, pixels, video_pixels, write_images

FILM = Film(frames=24, size=(64, 64), scene_frames=9)
RATE = Fraction(24)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("cut", ["scenes", "0.4"])
def test_every_image_is_a_frame(tmp_path: Path, suffix: str, cut: str) -> None:
    """Each image is one frame of a lossless encode, in its order; JPEG's colours are converted, others are the same."""
    source = tmp_path / "in" / f"shot_####{suffix}"
    images = write_images(source, FILM, first=98)
    spec, report, _ = encode(source, tmp_path / "out.mkv", cut=cut, fps=RATE)
    assert (spec.metadata.fps, report.frames) == (RATE, 24)
    assert len(spec.chunks) > 1 or cut == "scenes"
    shown = video_pixels(tmp_path / "out.mkv")
    assert len(shown) == len(images)
    for path, found in zip(images, shown, strict=True):
        apart = np.abs(pixels(path).astype(int) - found)
        assert apart.max() <= {".jpg": 9, ".exr": 1}.get(suffix, 0)
        assert apart.mean() <= {".jpg": 1, ".exr": 0.2}.get(suffix, 0)


@pytest.mark.parametrize("form", ["rgb24", "rgb48be", "gray"])
def test_colours_for_a_display(tmp_path: Path, form: str) -> None:
    """RGB becomes BT.709 in the limited range, the video says so, and read by that it shows the images' colours."""
    colours = [[255 * (one >> bit & 1) for bit in (2, 1, 0)] for one in range(8)]
    bars = np.array(colours, dtype=np.uint8).repeat(16, axis=0)[None].repeat(64, axis=0)
    data = image_bytes(VideoFrame.from_ndarray(np.ascontiguousarray(bars), format="rgb24"), ".png", form=form)
    for number in range(3):
        (tmp_path / f"bars{number}.png").write_bytes(data)
    encode(tmp_path / "bars%d.png", tmp_path / "out.mp4", recipe=Recipe("x264", crf="1"), fps=RATE)
    with av.open(str(tmp_path / "out.mp4")) as video:
        context = video.streams.video[0].codec_context
        said = (context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        assert (context.pix_fmt, said) == ("yuv420p", (1, 1, 1, 1))
    # Away from the bars' edges, where colours are shared.
    middle = video_pixels(tmp_path / "out.mp4")[1][32, 8::16].astype(int)
    assert np.abs(middle - pixels(tmp_path / "bars0.png")[32, 8::16]).max() <= 4


def test_light_gets_the_curve_of_a_display(tmp_path: Path) -> None:
    """EXR holds light: a tenth of it is shown as sRGB shows it, as 89 of 255."""
    plain = VideoFrame.from_ndarray(np.full((3, 64, 64), 0.1, dtype=np.float32).transpose(1, 2, 0), format="gbrpf32le")
    for number in range(2):
        (tmp_path / f"light.{number}.exr").write_bytes(image_bytes(plain, ".exr"))
    encode(tmp_path / "light.#.exr", tmp_path / "out.mp4", recipe=Recipe("x264", crf="1"), fps=RATE)
    assert np.abs(video_pixels(tmp_path / "out.mp4")[0].astype(int) - 89).max() <= 2


def test_filters_see_the_images(tmp_path: Path) -> None:
    """Filters that are asked for come before the conversion."""
    write_images(tmp_path / "in" / "a%03d.png", FILM)
    spec, _, lines = encode(
        tmp_path / "in" / "a%03d.png", tmp_path / "out.mkv", recipe=Recipe("ffv1", vf="scale=32:-2"), fps=RATE
    )
    assert (spec.metadata.width, spec.metadata.height) == (32, 32)
    assert any("a001.png and 23 more images" in line for line in lines)
    assert len(video_pixels(tmp_path / "out.mkv")) == 24


def test_images_are_looked_at_once(tmp_path: Path) -> None:
    """The file that the images are put into stays as it is while they do, and is made again when one changes."""
    images = write_images(tmp_path / "in" / "a%03d.png", FILM)
    out, pack = tmp_path / "out.mkv", tmp_path / "out.mkv.encode" / "images.mov"
    first, _, _ = encode(tmp_path / "in" / "a%03d.png", out, fps=RATE, cut="0.5")
    made = pack.stat().st_mtime_ns
    again, _, _ = encode(tmp_path / "in" / "a%03d.png", out, fps=RATE, cut="0.5")
    assert (pack.stat().st_mtime_ns, again) == (made, first)
    images[20].write_bytes(images[0].read_bytes())
    encode(tmp_path / "in" / "a%03d.png", out, fps=RATE, cut="0.5")
    shown = video_pixels(out)
    assert np.array_equal(shown[20], shown[0])


def test_what_is_refused(tmp_path: Path) -> None:
    """One error, before anything is encoded, for each sequence that can't be a video."""
    folder = tmp_path / "in"
    images = write_images(folder / "a.####.png", FILM)
    (folder / "shot_00x1.png").write_bytes(b"")

    def refused(name: str, told: str, *, fps: Fraction | None = RATE, recipe: Recipe = LOSSLESS) -> None:
        with pytest.raises(RequestError, match=told):
            encode(folder / name, tmp_path / "out.mkv", fps=fps, recipe=recipe)

    refused("a.####.png", "have no rate; name one, such as --fps 24", fps=None)
    refused("b.####.png", r"No file in .* is called b.####.png; there are a.0001.png, a.0002.png")
    refused("a.####.exr", "no .exr is there")
    refused("a.0001.png", "is one image; expected a video, or the name of a sequence with a field")
    refused("a.##.%d.png", "expected one field for the frame's number")
    images[4].rename(folder / "kept")
    refused("a.####.png", "Of the images a.0001.png to a.0024.png there is no a.0005.png; expected one for each number")
    other = VideoFrame.from_ndarray(np.zeros((32, 64, 3), dtype=np.uint8), format="rgb24")
    images[4].write_bytes(image_bytes(other, ".png"))
    refused("a.####.png", "a.0005.png is 64×32 rgb24, and a.0001.png is 64×64 rgb24; expected images of one size")
    images[4].write_bytes(images[0].read_bytes()[:-20])
    refused("a.####.png", "a.0005.png is damaged.*; nothing was encoded")
    write_images(folder / "t.####.png", FILM, form="rgba")
    refused("t.####.png", "has transparency .*, which x264 can't keep", recipe=Recipe("x264"))
    encode(folder / "t.####.png", tmp_path / "out.mp4", fps=RATE, recipe=Recipe("x264", pix_fmt="yuv420p"))


def test_a_file_of_the_same_name(tmp_path: Path) -> None:
    """A file in the job directory that has the name of the images' file, and is somebody's, stays."""
    write_images(tmp_path / "in" / "a%03d.png", FILM)
    own = tmp_path / "out.mkv.encode" / "images.mov"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    with pytest.raises(RequestError, match="is a file that this program did not make"):
        encode(tmp_path / "in" / "a%03d.png", tmp_path / "out.mkv", fps=RATE)
    assert own.read_bytes() == b"mine"
