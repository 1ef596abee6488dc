"""Two outputs of one chunk are compared frame by frame, and by their sound."""

import io
import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from helios.errors import OutputError
from helios.media.accepted_file import StitchInput
from helios.media.comparison import Comparison, compare_outputs
from helios.media.verify import VerificationStoppedError
from helios.models.worker import Artifact
from helios.storage.digest import hash_file
from testbed.video import Clip, damage, paint, tone, write_clip

FRAMES, FPS = 12, Fraction(30)
CLIP = Clip(width=96, height=64)


def compared(one: Path, other: Path, *, least_psnr: float = 45.0, frames: int = FRAMES) -> Comparison:
    """Compare two files."""
    return compare_outputs(StitchInput(one, frames, one.stem), other, fps=FPS, least_psnr=least_psnr)


def write(path: Path, clip: Clip, *, changed: Mapping[int, int] | None = None, plane: int = 0, by: int = 1) -> Path:
    """Write raw pictures, of which one sample of a plane is changed in some frames.

    Args:
        path: The file.
        clip: Codec and format.
        changed: By index of the frame, how many samples are changed.
        plane: Of the changed samples.
        by: The bits that are turned over in the low byte of each.
    """
    with av.open(str(path), "w") as output:
        video = output.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options or {}))
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, clip.pixel_format
        for index in range(FRAMES):
            rgb = VideoFrame.from_ndarray(paint(index, width=clip.width, height=clip.height), format="rgb24")
            picture = rgb.reformat(format=clip.pixel_format)
            picture.pts, picture.time_base = index, 1 / clip.fps
            if count := (changed or {}).get(index, 0):
                data = bytearray(picture.planes[plane])
                step = 2 if "10le" in clip.pixel_format else 1
                for sample in range(count):
                    data[sample * step] = data[sample * step] ^ by
                picture.planes[plane].update(bytes(data))
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_equal_outputs_have_no_difference(tmp_path: Path, suffix: str) -> None:
    """The same pictures in files with other bytes are equal: nothing differs, and there is no frame to name."""
    one = write_clip(tmp_path / f"one{suffix}", CLIP, start=0, count=FRAMES)
    other = write_clip(tmp_path / "other.mov", CLIP, start=0, count=FRAMES)
    assert one.read_bytes() != other.read_bytes()
    found = compared(one, other)
    assert found == Comparison()
    assert (found.is_different, found.lowest_psnr) == (False, math.inf)


def test_another_quality_is_measured(tmp_path: Path) -> None:
    """The PSNR of the worst frame is that of all its samples together, and the threshold decides."""
    files = [
        write_clip(tmp_path / f"{crf}.mp4", replace(CLIP, options={"crf": str(crf)}), start=0, count=FRAMES)
        for crf in (10, 34)
    ]
    found = compared(*files)
    assert found.frame is not None
    planes = []
    for file in files:
        with av.open(str(file)) as video:
            frame = list(video.decode(video=0))[found.frame]
            planes.append(frame.to_ndarray().astype(float))  # yuv420p: all samples of all planes, once
    assert found.lowest_psnr == pytest.approx(10 * math.log10(255**2 / np.mean((planes[0] - planes[1]) ** 2)), abs=0.01)
    assert compared(*files, least_psnr=found.lowest_psnr - 0.1).different_frames == 0
    worse = compared(*files, least_psnr=found.lowest_psnr + 0.1)
    assert worse.is_different
    assert worse.pictures is not None
    assert worse.different_frames >= 1


def read_png(png: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG; shape (height, width, 3), RGB."""
    with av.open(io.BytesIO(png), "r", format="png_pipe") as picture:
        return next(picture.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def test_one_replaced_frame_is_named(tmp_path: Path) -> None:
    """One frame that shows something else is the worst frame; both its pictures are there, in their own size."""
    one = write(tmp_path / "one.mp4", CLIP)
    other = write(tmp_path / "other.mp4", CLIP, changed={7: 400}, by=100)
    found = compared(one, other)
    assert (found.frame, found.different_frames) == (7, 1)
    assert found.lowest_psnr < 30
    assert found.pictures is not None
    seen = [read_png(png) for png in (found.pictures.accepted, found.pictures.again)]
    assert [picture.shape for picture in seen] == [(64, 96, 3)] * 2
    assert not np.array_equal(seen[0], seen[1])
    assert found.pictures.both.startswith(b"\xff\xd8")


LOSSLESS = {
    "ffv1": (".mkv", Clip(codec="ffv1", width=96)),
    "ffv1, 10 bits": (".mkv", Clip(codec="ffv1", width=96, pixel_format="yuv422p10le")),
    "ffv1 with alpha": (".mkv", Clip(codec="ffv1", width=96, pixel_format="yuva420p")),
    "x264 qp 0": (".mp4", Clip(width=96, options={"qp": "0"})),
    "x264 qp 0, 4:4:4, mkv": (".mkv", Clip(width=96, pixel_format="yuv444p", options={"qp": "0"})),
    "png": (".mov", Clip(codec="png", width=96, pixel_format="rgb24")),
    "png with alpha": (".mov", Clip(codec="png", width=96, pixel_format="rgba")),
    "raw": (".mkv", Clip(codec="rawvideo", width=96)),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_codec_has_to_be_exact(tmp_path: Path, kind: str) -> None:
    """One sample that is off by one level in one frame is a difference, although its PSNR is far over the threshold."""
    suffix, clip = LOSSLESS[kind]
    one, same = (write(tmp_path / f"{name}{suffix}", clip) for name in ("one", "same"))
    other = write(tmp_path / f"other{suffix}", clip, changed={5: 1})
    assert compared(one, same) == Comparison(is_lossless=True)
    found = compared(one, other)
    assert (found.is_different, found.frame, found.different_frames) == (True, 5, 1)
    assert 80 < found.lowest_psnr < math.inf


@pytest.mark.parametrize("kind", ["ffv1 with alpha", "png with alpha"])
def test_alpha_counts(tmp_path: Path, kind: str) -> None:
    """A frame whose alpha alone differs is a difference."""
    suffix, clip = LOSSLESS[kind]
    is_planar = clip.pixel_format == "yuva420p"
    files = []
    for name, alpha in (("one", 255), ("other", 128)):
        path = tmp_path / f"{name}{suffix}"
        with av.open(str(path), "w") as output:
            video = output.add_stream(clip.codec, rate=30)
            assert isinstance(video, VideoStream)
            video.width, video.height, video.pix_fmt = 96, 64, clip.pixel_format
            for index in range(FRAMES):
                picture = VideoFrame(96, 64, clip.pixel_format)
                for plane in picture.planes:
                    plane.update(bytes([90] * plane.buffer_size))
                if index == 3 and is_planar:
                    picture.planes[3].update(bytes([alpha]) * picture.planes[3].buffer_size)
                elif index == 3:
                    picture.planes[0].update(bytes([90, 90, 90, alpha]) * (picture.planes[0].buffer_size // 4))
                picture.pts, picture.time_base = index, 1 / FPS
                output.mux(video.encode(picture))
            output.mux(video.encode(None))
        files.append(path)
    assert (compared(*files).frame, compared(files[0], files[0]).is_different) == (3, False)


@pytest.mark.parametrize("options", [{}, {"crf": "1"}])
def test_lossy_h264_of_444_is_not_lossless(tmp_path: Path, options: Mapping[str, str]) -> None:
    """The profile that lossless streams have is not enough to be one."""
    clip = Clip(width=96, pixel_format="yuv444p", options=options)
    one = write(tmp_path / "one.mp4", clip)
    assert not compared(one, one).is_lossless


def test_another_number_of_frames_is_refused(tmp_path: Path) -> None:
    """A file with fewer frames is no output of the chunk, whichever of the two it is."""
    one = write_clip(tmp_path / "one.mp4", CLIP, start=0, count=FRAMES)
    other = write_clip(tmp_path / "other.mp4", CLIP, start=0, count=FRAMES - 1)
    with pytest.raises(OutputError, match=r"other\.mp4 has 11 frames; expected exactly 12"):
        compared(one, other)
    with pytest.raises(OutputError, match=r"other\.mp4 has 11 frames; expected exactly 12"):
        compared(other, one)


def test_another_format_is_a_difference(tmp_path: Path) -> None:
    """Pictures of another format, and sound of another rate, are not compared, but named."""
    one = write_clip(tmp_path / "one.mp4", CLIP, start=0, count=FRAMES)
    other = write_clip(tmp_path / "other.mp4", replace(CLIP, pixel_format="yuv444p"), start=0, count=FRAMES)
    assert "pixel format yuv444p instead of yuv420p" in compared(one, other).format
    sound = write_clip(tmp_path / "sound.mov", replace(CLIP, sample_rate=48000), start=0, count=FRAMES)
    assert compared(one, sound).format == "sound pcm_s16le, 48000 Hz, mono instead of none"
    assert compared(one, sound).is_different


def test_the_first_damage_ends_it(tmp_path: Path) -> None:
    """A frame that can't be decoded is named, with its file."""
    one = write_clip(tmp_path / "one.mp4", CLIP, start=0, count=FRAMES)
    other = write_clip(tmp_path / "other.mp4", CLIP, start=0, count=FRAMES)
    frame = damage(other, 5)
    with pytest.raises(OutputError, match=rf"other\.mp4 is damaged: frame {frame} "):
        compared(one, other)


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    """A comparison that is told to stop ends before the next frame."""
    one = write_clip(tmp_path / "one.mp4", CLIP, start=0, count=FRAMES)
    stop = threading.Event()
    stop.set()
    with pytest.raises(VerificationStoppedError):
        compare_outputs(StitchInput(one, FRAMES, "one"), one, fps=FPS, least_psnr=45, stop=stop)


def test_an_accepted_output_that_was_changed_is_no_difference_of_the_renderer(tmp_path: Path) -> None:
    """The accepted output is held against its record first."""
    one = write_clip(tmp_path / "one.mp4", CLIP, start=0, count=FRAMES)
    digest, size = hash_file(one)
    accepted = StitchInput(one, FRAMES, "chunk 0", Artifact(url=one.as_uri(), bytes=size, sha256=digest))
    other = write_clip(tmp_path / "other.mp4", CLIP, start=3, count=FRAMES)
    assert compare_outputs(accepted, other, fps=FPS, least_psnr=45).is_different
    other.replace(one)
    with pytest.raises(OutputError, match="was changed since it was accepted"):
        compare_outputs(accepted, one, fps=FPS, least_psnr=45)


def write_sound(path: Path, codec: str, *, level: float = 0.0, at: int = 9600, samples: int = 19200) -> Path:
    """Write pictures with a tone, to which something is added from a sample on for 10 ms."""
    rate = 48000
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=30)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, AudioStream)
        for index in range(FRAMES):
            picture = VideoFrame.from_ndarray(paint(index, width=96, height=64), format="rgb24")
            picture.pts = index
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        wave = tone(0, samples, rate=rate).copy()
        wave[0, at : at + 480] += round(level * 32768)
        audio = AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        audio.sample_rate, audio.pts = rate, 0
        output.mux(sound.encode(audio))
        output.mux(sound.encode(None))
    return path


def test_pcm_has_to_be_exact(tmp_path: Path) -> None:
    """Sound without loss that is off by one level is a difference, and says where."""
    one, same = (write_sound(tmp_path / f"{name}.mov", "pcm_s16le") for name in ("one", "same"))
    other = write_sound(tmp_path / "other.mov", "pcm_s16le", level=1 / 32768)
    equal = compared(one, same).sound
    assert equal is not None
    assert (equal.is_different, equal.lowest_psnr, equal.seconds) == (False, math.inf, None)
    found = compared(one, other)
    assert found.is_different
    assert found.frame is None
    assert found.sound is not None
    assert found.sound.seconds == pytest.approx(0.2)
    assert found.sound.lowest_psnr == pytest.approx(20 * math.log10(32768 / math.sqrt(0.1)), abs=0.1)


def test_lossy_sound_is_compared_by_level(tmp_path: Path) -> None:
    """A click in a tenth of a second is a difference; what is far below the threshold is none."""
    one = write_sound(tmp_path / "one.mp4", "aac")
    quiet = write_sound(tmp_path / "quiet.mp4", "aac", level=0.0005)
    loud = write_sound(tmp_path / "loud.mp4", "aac", level=0.3)
    assert not compared(one, one).is_different
    found = compared(one, quiet)
    assert not found.is_different
    assert found.sound is not None
    assert 30 < found.sound.lowest_psnr < math.inf
    found = compared(one, loud)
    assert found.is_different
    assert found.sound is not None
    assert found.sound.seconds == pytest.approx(0.2, abs=0.11)


def test_sound_of_another_length_is_a_difference(tmp_path: Path) -> None:
    """Sound that ends earlier is a difference, also where what there is agrees."""
    one = write_sound(tmp_path / "one.mov", "pcm_s16le")
    other = write_sound(tmp_path / "other.mov", "pcm_s16le", samples=19000)
    found = compared(one, other).sound
    assert found is not None
    assert (found.is_different, found.samples) == (True, (19200, 19000))
