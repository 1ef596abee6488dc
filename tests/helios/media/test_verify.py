"""An output is accepted when it holds exactly what its chunk ordered."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from helios.errors import OutputError
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.media.verify import VerifiedOutput, verify_output
from testbed.video import Clip, read_numbers, write_clip

NTSC = Fraction(30000, 1001)
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})
PRORES = Clip(codec="prores_ks", pixel_format="yuv422p10le")


TRUNCATED = r"can't be read as a video|has no video stream|truncated or damaged|has \d+ frames; expected exactly 12"


def verify(path: Path, *, frames: int = 12, fps: Fraction = Fraction(30), width: int = 64) -> VerifiedOutput:
    return verify_output(path, frames=frames, fps=fps, width=width, height=64)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", Clip(), start=0, count=12)


def test_a_sound_output(clip: Path) -> None:
    """A sound output's size, digest, frames and codec are returned."""
    found = verify(clip)
    assert (found.frames, found.bytes) == (12, clip.stat().st_size)
    assert found.sha256 == sha256(clip.read_bytes()).hexdigest()
    assert (found.video.codec, found.video.width, found.audio) == ("h264", 64, None)


@pytest.mark.parametrize("name", ["it's a «chunk» no. 1.mp4", "a:b.mp4", "line\nbreak.mp4", "100%.mp4", "-x.mp4"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    """An output may have any file name."""
    write_clip(tmp_path / "plain.mp4", Clip(), start=0, count=12).rename(tmp_path / name)
    assert verify(tmp_path / name).frames == 12


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    """A missing file, an empty file, a text and a folder are refused as outputs."""
    with pytest.raises(OutputError, match="was not written"):
        verify(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(OutputError, match="is empty"):
        verify(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("not a video" * 100)
    with pytest.raises(OutputError, match="can't be read as a video"):
        verify(tmp_path / "text.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        verify(tmp_path / "folder.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_truncated_files(tmp_path: Path, suffix: str, kept: float) -> None:
    """A truncated file is refused wherever it is cut off, also in containers that can be read up to the cut."""
    clip = Clip(codec="libvpx-vp9", options={"deadline": "realtime"}) if suffix == ".webm" else Clip()
    path = write_clip(tmp_path / f"clip{suffix}", clip, start=0, count=12)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(OutputError, match=TRUNCATED):
        verify(path)


def test_a_truncated_file_whose_index_is_in_front(tmp_path: Path, clip: Path) -> None:
    """A fast-start MP4 without its last data is refused, although its index promises all frames."""
    fast = tmp_path / "fast.mp4"
    with av.open(str(clip)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert verify(fast).frames == 12
    fast.write_bytes(fast.read_bytes()[:-30])
    with pytest.raises(OutputError, match="truncated or damaged|has .* frames"):
        verify(fast)


@pytest.mark.parametrize("frames", [11, 13, 1])
def test_another_number_of_frames(clip: Path, frames: int) -> None:
    """A wrong number of frames is refused with both numbers."""
    with pytest.raises(OutputError, match=f"has 12 frames; expected exactly {frames}"):
        verify(clip, frames=frames)


def test_another_size(clip: Path) -> None:
    """A size other than the job's is refused with both sizes."""
    with pytest.raises(OutputError, match="is 64×64 pixels; expected 80×64"):
        verify(clip, width=80)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("rate", "expected"), [(24, NTSC), (Fraction(24000, 1001), 24), (NTSC, 30), (25, 50), (60, 30)]
)
def test_another_rate(tmp_path: Path, suffix: str, rate: Fraction, expected: Fraction) -> None:
    """Another frame rate is refused, also where the rates are as close as 24 and 23.976."""
    path = write_clip(tmp_path / f"clip{suffix}", Clip(fps=Fraction(rate)), start=0, count=12)
    assert verify(path, fps=Fraction(rate)).frames == 12
    with pytest.raises(OutputError, match="fps"):
        verify(path, fps=Fraction(expected))


def test_a_rate_that_was_rounded_by_the_renderer_is_the_same_rate(tmp_path: Path) -> None:
    """A job that says 29.97 accepts a file with 30000/1001."""
    path = write_clip(tmp_path / "clip.mp4", Clip(fps=NTSC), start=0, count=12)
    assert verify(path, fps=Fraction(2997, 100)).frames == 12


def without_default_duration(path: Path) -> None:
    """Make a Matroska file state no rate, as recorders in browsers do."""
    data = path.read_bytes()
    assert data.count(b"\x23\xe3\x83\x84") == 1
    path.write_bytes(data.replace(b"\x23\xe3\x83\x84", b"\xec\x86\0\0")[: len(data)])


def state_milliseconds(path: Path, milliseconds: int) -> None:
    """Make a Matroska file state a rounded rate."""
    data = path.read_bytes()
    at = data.index(b"\x23\xe3\x83\x84") + 4
    path.write_bytes(data[:at] + (milliseconds * 1_000_000).to_bytes(4) + data[at + 4 :])


@pytest.mark.parametrize("count", [1, 2, 3, 12])
@pytest.mark.parametrize("fps", [Fraction(24), NTSC, Fraction(48)])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_times_decide_where_no_rate_is_stated(tmp_path: Path, suffix: str, fps: Fraction, count: int) -> None:
    """FFmpeg's guess at the rate of a file without one does not count, nor does one in whole milliseconds."""
    look = replace(VP9 if suffix == ".webm" else Clip(), fps=fps)
    path = write_clip(tmp_path / f"clip{suffix}", look, start=0, count=count)
    for milliseconds in {int(1000 / fps), round(1000 / fps)}:
        state_milliseconds(path, milliseconds)
        assert verify(path, frames=count, fps=fps).frames == count
    without_default_duration(path)
    assert verify(path, frames=count, fps=fps).frames == count


@pytest.mark.parametrize("count", [1, 2, 12])
@pytest.mark.parametrize("fps", [Fraction(24), NTSC, Fraction(60)])
def test_mp4_that_was_copied_from_matroska(tmp_path: Path, fps: Fraction, count: int) -> None:
    """Time stamps in whole milliseconds are as good in MP4 as they are in Matroska."""
    source = write_clip(tmp_path / "clip.mkv", Clip(fps=fps), start=0, count=count)
    path = remux(source, tmp_path / "clip.mp4", lambda stream: setattr(stream, "time_base", Fraction(1, 16000)))
    assert verify(path, frames=count, fps=fps).frames == count


def test_a_stated_rate_that_the_times_refute(tmp_path: Path) -> None:
    """Where enough frames are at their times, a wrong rate in the header does no harm; a few can't tell."""
    path = write_clip(tmp_path / "clip.mkv", Clip(fps=Fraction(24)), start=0, count=12)
    state_milliseconds(path, 50)
    assert verify(path, fps=Fraction(24)).frames == 12
    short = write_clip(tmp_path / "short.mkv", Clip(fps=Fraction(24)), start=0, count=2)
    state_milliseconds(short, 43)
    with pytest.raises(OutputError, match="is at 23.2558 fps; expected 24 fps"):
        verify(short, frames=2, fps=Fraction(24))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_very_short_chunks(tmp_path: Path, count: int, suffix: str) -> None:
    """Chunks of one, two and three frames pass."""
    path = write_clip(tmp_path / f"clip{suffix}", Clip(fps=NTSC), start=0, count=count)
    assert verify(path, frames=count, fps=NTSC).frames == count


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (Clip(), "does not begin with a key frame"),
        # Every frame is a key frame according to the container, so that only the decoder notices.
        (Clip(codec="prores_ks", pixel_format="yuv422p10le"), r"frame 0 \(of 12, counted from 0\) can't be decoded"),
    ],
    ids=["h264", "prores"],
)
def test_a_damaged_first_frame(tmp_path: Path, look: Clip, message: str) -> None:
    """A damaged first frame is found, although the number of packets is right."""
    path = write_clip(tmp_path / "clip.mov", look, start=0, count=12)
    with av.open(str(path)) as video:
        first = next(video.demux(video=0))
        assert first.pos is not None
        place = slice(first.pos, first.pos + first.size)
    data = bytearray(path.read_bytes())
    data[place] = b"\xff" * first.size
    path.write_bytes(data)
    with pytest.raises(OutputError, match=message):
        verify(path)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (Clip(codec="mpeg4"), "codec mpeg4 instead of h264"),
        (Clip(options={"profile": "baseline"}), "profile Baseline instead of High|profile Constrained Baseline"),
        (Clip(options={"bf": "0"}), "headers .* instead of"),
        (Clip(pixel_format="yuv444p"), "pixel format yuv444p instead of yuv420p"),
    ],
)
def test_siblings_must_agree(tmp_path: Path, other: Clip, difference: str) -> None:
    """Outputs that could not be decoded in one stream are refused before they are joined, with what differs."""
    one = verify(write_clip(tmp_path / "one.mov", Clip(), start=0, count=12))
    two = verify(write_clip(tmp_path / "two.mov", other, start=12, count=12))
    again = verify(write_clip(tmp_path / "again.mov", Clip(), start=12, count=12))
    again.check_sibling(one, name="chunk 1", other_name="chunk 0")
    with pytest.raises(OutputError, match=f"chunk 1 does not fit chunk 0: .*({difference})"):
        two.check_sibling(one, name="chunk 1", other_name="chunk 0")


def x265(options: str) -> Clip:
    return Clip(codec="libx265", options={"x265-params": f"log-level=error:{options}"})


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("looks"),
    [
        # What x265 chooses by the number of CPUs stands among the headers, in a text about the encoder.
        (x265("frame-threads=1"), x265("frame-threads=3")),
        # These write the speed or the threads into no header, or into one that each key frame repeats.
        (Clip(options={"threads": "1"}), Clip(options={"threads": "2"})),
        (VP9, replace(VP9, options={"deadline": "realtime", "cpu-used": "8", "row-mt": "1"})),
        (Clip(codec="mpeg2video"), Clip(codec="mpeg2video", options={"b": "4000000"})),
        (Clip(codec="libsvtav1", options={"preset": "10"}), Clip(codec="libsvtav1", options={"preset": "11"})),
    ],
    ids=["hevc", "h264", "vp9", "mpeg2", "av1"],
)
def test_what_no_decoder_needs_may_differ(tmp_path: Path, suffix: str, looks: tuple[Clip, Clip]) -> None:
    """Chunks of machines with other numbers of CPUs are joined, and decode to their own pictures."""
    paths = [write_clip(tmp_path / f"{n}{suffix}", look, start=12 * n, count=12) for n, look in enumerate(looks)]
    one, two = map(verify, paths)
    two.check_sibling(one, name="chunk 1", other_name="chunk 0")
    inputs = [StitchInput(path, 12, f"chunk {number}") for number, path in enumerate(paths)]
    FfmpegStitcher().stitch(inputs, tmp_path / f"video{suffix}", fps=Fraction(30))
    assert read_numbers(tmp_path / f"video{suffix}") == list(range(24))


def test_parameter_sets_must_agree(tmp_path: Path) -> None:
    """A difference that decoders rely on is refused, and the message says what would have to be done."""
    one = verify(write_clip(tmp_path / "one.mp4", x265("signhide=1"), start=0, count=12))
    two = verify(write_clip(tmp_path / "two.mp4", x265("signhide=0"), start=12, count=12))
    with pytest.raises(OutputError, match=r"headers \(PPS: .* instead of .* the same version and settings .* hev1"):
        two.check_sibling(one, name="chunk 1", other_name="chunk 0")


def test_sound_formats_must_agree(tmp_path: Path) -> None:
    """Sound with another sampling rate is refused, since it can't follow in one track."""
    paths = [
        write_clip(tmp_path / f"{rate}.mov", replace(Clip(), sample_rate=rate), start=0, count=12)
        for rate in (44100, 48000)
    ]
    with pytest.raises(OutputError, match="44100 Hz, mono instead of pcm_s16le, 48000 Hz"):
        verify(paths[0]).check_sibling(verify(paths[1]), name="chunk 1", other_name="chunk 0")


def remux(source: Path, target: Path, change: Callable[[VideoStream], None]) -> Path:
    """Copy a video's packets into another file, whose header says something else."""
    with av.open(str(source)) as one, av.open(str(target), "w") as two:
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        change(stream)
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = stream
                two.mux(packet)
    return target


@pytest.mark.parametrize(
    ("suffix", "look", "change", "difference"),
    [
        (".mp4", Clip(), lambda stream: stream.set_display_rotation(180), "rotation 180° instead of none"),
        (".mov", Clip(), lambda stream: stream.set_display_rotation(90), "rotation 90° instead of none"),
        (".mov", Clip(), lambda stream: stream.set_display_rotation(0, hflip=True), "rotation matrix -1 .* of none"),
        (".mkv", Clip(), lambda stream: stream.set_display_rotation(270), "rotation 270° instead of none"),
        (
            ".mp4",
            VP9,
            lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(4, 3)),
            "sample aspect ratio 4/3 instead of 1",
        ),
        (".webm", VP9, lambda stream: stream.metadata.update(alpha_mode="1"), "alpha True instead of False"),
        (
            ".mov",
            PRORES,
            lambda stream: setattr(stream.codec_context, "field_order", 2),
            "field order top first instead of progressive",
        ),
    ],
)
def test_what_the_container_says_must_agree(
    tmp_path: Path, suffix: str, look: Clip, change: Callable[[VideoStream], None], difference: str
) -> None:
    """An output whose pictures are to be shown in another way than its sibling's is refused, with what differs."""
    source = write_clip(tmp_path / f"one{suffix}", look, start=0, count=12)
    one, two = verify(source), verify(remux(source, tmp_path / f"two{suffix}", change))
    two.check_sibling(two, name="chunk 1", other_name="chunk 0")
    with pytest.raises(OutputError, match=f"chunk 1 does not fit chunk 0: .*{difference}"):
        two.check_sibling(one, name="chunk 1", other_name="chunk 0")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_frames_that_an_edit_list_hides(tmp_path: Path, suffix: str) -> None:
    """A video that was cut between key frames has frames that players skip; a joined video would show them."""
    path, step = tmp_path / f"cut{suffix}", 1000
    with (
        av.open(str(write_clip(tmp_path / "whole.mp4", Clip(options={"bf": "0"}), start=0, count=15))) as one,
        av.open(str(path), "w") as two,
    ):
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in one.demux(video=0) if packet.size):
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 30 * step), step
            packet.pts = packet.dts = (number - 5) * step
            two.mux(packet)
    for frames in (10, 15):
        with pytest.raises(OutputError, match="shows 10 of its 15 frames: an edit list hides the others"):
            verify(path, frames=frames)


def test_the_place_of_chroma_must_agree(tmp_path: Path) -> None:
    """Chroma that only the container places is not shifted against luma by another chunk's place."""
    one, two, three = (
        verify(write_clip(tmp_path / f"{n}.mkv", Clip(codec="ffv1", options=options), start=0, count=12))
        for n, options in enumerate(({}, {"chroma_sample_location": "left"}, {"chroma_sample_location": "topleft"}))
    )
    two.check_sibling(one, name="chunk 1", other_name="chunk 0")
    with pytest.raises(OutputError, match=r"chroma siting \(1, 1\) instead of \(1, 2\)"):
        three.check_sibling(one, name="chunk 1", other_name="chunk 0")


def test_colors_are_named(tmp_path: Path) -> None:
    """Of colors that differ, the message names which."""
    one, two = (
        verify(write_clip(tmp_path / f"{n}.mkv", Clip(codec="ffv1", options=options), start=0, count=12))
        for n, options in enumerate(({}, {"color_trc": "smpte2084"}))
    )
    with pytest.raises(OutputError, match="fit chunk 0: transfer characteristic 16 instead of 2$"):
        two.check_sibling(one, name="chunk 1", other_name="chunk 0")
