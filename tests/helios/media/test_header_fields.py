"""What differs between the headers of two chunks is said in words, with what to do about it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.priority import same_priority
from helios.errors import OutputError
from helios.media.header_fields import header_differences
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.media.verify import VerifiedOutput, verify_output
from testbed.moving_pictures import grain, waves
from testbed.video import Clip, read_numbers, write_clip

FFV1 = Clip(codec="ffv1", pixel_format="yuv420p")


def x264(parameters: str) -> Clip:
    return Clip(options={"x264-params": parameters})


def x265(parameters: str) -> Clip:
    return Clip(codec="libx265", options={"x265-params": f"log-level=error:{parameters}"})


def verify(path: Path, *, frames: int = 12, width: int = 64, height: int = 64) -> VerifiedOutput:
    return verify_output(path, frames=frames, fps=Fraction(30), width=width, height=height)


def refusal(one: VerifiedOutput, two: VerifiedOutput) -> str:
    with pytest.raises(OutputError) as caught:
        two.check_sibling(one, name="chunk 1", other_name="chunk 0")
    return str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "looks", "difference", "advice"),
    [
        (".mp4", (x264("crf=20"), x264("crf=30")), "(PPS: initial QP 30 instead of 20)", "stitchable=1"),
        (".mkv", (x264("bframes=3"), x264("bframes=0")), "frames shown later than decoded 0 instead of 2", "avc3"),
        (".mp4", (x264("ref=4"), x264("ref=1:bframes=0")), "reference frames 1 instead of 4", "avc3"),
        (".mp4", (x264("weightp=2"), x264("weightp=0")), "weighted prediction of P frames off instead of on", "avc3"),
        (".mp4", (x264("cabac=1"), x264("cabac=0")), "PPS: entropy coder CAVLC instead of CABAC", "avc3"),
        (".mp4", (x265("signhide=1"), x265("signhide=0")), "(PPS: hidden signs (signhide) off instead of on)", "hev1"),
        (".mp4", (x265("ctu=16:wpp=1:pools=2"), x265("ctu=16:wpp=0")), "in parallel (wpp) off instead of on", "pools"),
        (".mp4", (x265("ctu=32"), x265("ctu=16")), "largest block (ctu) 16 instead of 32", "hev1"),
        (".mp4", (x265("sao=1"), x265("sao=0")), "sample adaptive offset (sao) off instead of on", "hev1"),
        (".mkv", (FFV1, replace(FFV1, options={"slices": "9"})), "slices 3 × 3 instead of 2 × 2", "one configuration"),
        (
            ".mkv",
            (replace(FFV1, options={"slicecrc": "1"}), replace(FFV1, options={"slicecrc": "0"})),
            "checksums of slices (slicecrc) off instead of on",
            "-slicecrc",
        ),
        (
            ".mkv",
            (replace(FFV1, options={"coder": "1"}), replace(FFV1, options={"coder": "0"})),
            "coder Golomb-Rice instead of range",
            "-coder",
        ),
    ],
)  # fmt: skip
def test_the_fields_that_differ(
    tmp_path: Path, suffix: str, looks: tuple[Clip, Clip], difference: str, advice: str
) -> None:
    """The refusal names the fields with both values, and what to do in this codec."""
    paths = [write_clip(tmp_path / f"{n}{suffix}", look, start=12 * n, count=12) for n, look in enumerate(looks)]
    message = refusal(*map(verify, paths))
    assert message.startswith("chunk 1 does not fit chunk 0: headers (")
    assert difference in message
    assert advice in message
    with pytest.raises(OutputError, match="does not fit"):
        FfmpegStitcher().stitch(
            [StitchInput(path, 12, f"chunk {n}") for n, path in enumerate(paths)],
            tmp_path / "video.mkv",
            fps=Fraction(30),
        )


def two_passes(path: Path, *, first: int, seed: int, stitchable: bool) -> Path:
    """A chunk of 24 frames as x264 writes it in two passes: more motion for a larger seed."""
    stats = path.with_suffix(".stats")
    for number in (1, 2):
        parameters = f"pass={number}:stats={stats}:bitrate=120:threads=1:stitchable={int(stitchable)}"
        with same_priority(), av.open(str(path), "w") as output:
            video = output.add_stream("libx264", rate=30, options={"x264-params": parameters, "preset": "medium"})
            assert isinstance(video, VideoStream)
            video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
            for index in range(24):
                picture = waves(first + index, speed=0.02 + seed)
                picture = grain(picture, index, amount=30.0) if seed else picture
                frame = VideoFrame.from_ndarray(picture.clip(0, 255).astype("uint8"), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 30)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
    return path


def test_two_passes_of_x264(tmp_path: Path) -> None:
    """Chunks of two passes differ in what the first pass chose, which has a name; with stitchable=1 they fit."""
    loose = [two_passes(tmp_path / f"l{n}.mp4", first=24 * n, seed=n, stitchable=False) for n in range(2)]
    fitting = [two_passes(tmp_path / f"f{n}.mp4", first=24 * n, seed=n, stitchable=True) for n in range(2)]
    one, two = (verify(path, frames=24, width=320, height=180) for path in loose)
    message = refusal(one, two)
    assert "headers (PPS: initial QP " in message
    assert "two passes" in message
    assert "stitchable=1" in message
    one, two = (verify(path, frames=24, width=320, height=180) for path in fitting)
    two.check_sibling(one, name="chunk 1", other_name="chunk 0")


def test_headers_of_av1(tmp_path: Path) -> None:
    """AV1's sequence header is read, too: the speed is no part of it, and film grain is."""
    found = []
    for number, options in enumerate(({"preset": "10"}, {"preset": "8"}, {"svtav1-params": "film-grain=8"})):
        look = Clip(codec="libsvtav1", options={"preset": "10"} | options)
        path = write_clip(tmp_path / f"{number}.mp4", look, start=0, count=6)
        with av.open(str(path)) as video:
            found.append(video.streams.video[0].codec_context.extradata or b"")
    assert header_differences("av1", found[0], found[1]) == []
    assert header_differences("av1", found[2], found[0]) == ["sequence header: film grain on instead of off"]


def test_what_is_not_read_has_its_digest(tmp_path: Path) -> None:
    """A header of which no field is known to differ is named by its digest; cut-off headers don't break the message."""
    path = write_clip(tmp_path / "a.mp4", Clip(), start=0, count=3)
    with av.open(str(path)) as video:
        extradata = video.streams.video[0].codec_context.extradata or b""
    assert header_differences("h264", extradata, extradata) == []
    assert header_differences("prores", b"a", b"b") == []
    assert header_differences("theora", b"a", b"b") == [
        "digest: fields that are not named here (ca978112 instead of 3e23e816)"
    ]
    for length in range(len(extradata)):
        header_differences("h264", extradata, extradata[:length])
    for codec in ("hevc", "av1", "ffv1", "mpeg4"):
        for length in range(40):
            header_differences(codec, bytes(range(length)), bytes([1]) * length)
    assert read_numbers(path) == [0, 1, 2]
