"""What can't be joined is known after the first chunk."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.stream import Disposition

from helios.errors import OutputError, RequestError, WorkerUnavailableError
from helios.media.accepted_file import StitchInput
from helios.media.chunk_file import ChunkFile
from helios.media.file_sound import open_tracks
from helios.media.joining import Join
from helios.media.rehearsal import rehearse
from helios.media.sound_order import CHUNKS_OWN, SoundOrder, SoundTracks
from helios.media.stitching import FfmpegStitcher
from helios.models.delivery import Delivery
from testbed.video import Clip, read_numbers, tone, write_clip

FPS = Fraction(30)
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})


def chunk(path: Path, clip: Clip) -> StitchInput:
    return StitchInput(write_clip(path, clip, start=0, count=6), 6, "chunk 0")


def try_out(part: StitchInput, output: Path) -> None:
    rehearse(part, output, fps=FPS, temporary=output.with_name(f"rehearsal{output.suffix}"))


@pytest.mark.parametrize(
    ("clip", "suffix", "output"),
    [
        (Clip(), ".mp4", "video.mp4"),
        (Clip(codec="libx265", options={"x265-params": "log-level=error"}), ".mkv", "video.mov"),
        (replace(VP9, sample_rate=48000), ".mkv", "video.webm"),
        (Clip(sample_rate=192_000), ".mkv", "video.mp4"),
        (Clip(codec="ffv1"), ".mkv", "video.mp4"),
        (Clip(codec="rawvideo", pixel_format="yuv422p"), ".avi", "video.mkv"),
        (Clip(sample_rate=4_000), ".mkv", "video.mp4"),
        (Clip(codec="prores_ks", pixel_format="yuv422p10le", sample_rate=96_000), ".mov", "video.mov"),
    ],
)
def test_what_can_be_joined_leaves_nothing(tmp_path: Path, clip: Clip, suffix: str, output: str) -> None:
    """A rehearsal of what can be joined leaves no file; sound at a rate that the encoder does not have is converted."""
    part = chunk(tmp_path / f"c0{suffix}", clip)
    try_out(part, tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == [f"c0{suffix}"]
    assert FfmpegStitcher().stitch([part], tmp_path / output, fps=FPS).warnings == ()
    assert read_numbers(tmp_path / output) == list(range(6))


@pytest.mark.parametrize(
    ("clip", "suffix", "output", "message"),
    [
        (VP9, ".mkv", "video.mov", "video.mov.*vp9 video can't be put"),
        (replace(VP9, sample_rate=48000), ".mkv", "video.mov", "vp9 video with pcm_s16le, 48000 Hz, mono can't be put"),
    ],
)
def test_what_the_container_refuses(tmp_path: Path, clip: Clip, suffix: str, output: str, message: str) -> None:
    """What a container has no place for is refused in words, in the rehearsal and in the join."""
    part = chunk(tmp_path / f"c0{suffix}", clip)
    with pytest.raises(RequestError, match=message):
        try_out(part, tmp_path / output)
    with pytest.raises(RequestError, match="can't be"):
        FfmpegStitcher().stitch([part], tmp_path / output, fps=FPS)
    assert [path.name for path in tmp_path.iterdir()] == [f"c0{suffix}"]


def test_a_damaged_chunk_is_no_reason(tmp_path: Path) -> None:
    """A chunk whose first picture can't be decoded (it is verified as far as was asked) says nothing of its kind."""
    part = chunk(tmp_path / "c0.mov", Clip(codec="prores_ks", pixel_format="yuv422p10le"))
    with av.open(str(part.path)) as file:
        packet = next(file.demux(video=0))
        assert packet.pos is not None
        place = slice(packet.pos, packet.pos + packet.size)
    data = bytearray(part.path.read_bytes())
    data[place] = b"\xff" * packet.size
    part.path.write_bytes(data)
    try_out(part, tmp_path / "video.mov")


def with_channels(path: Path, layout: str, count: int) -> StitchInput:
    """A chunk whose sound has many channels."""
    with (
        av.open(str(write_clip(path.with_name("plain.mkv"), Clip(), start=0, count=6))) as one,
        av.open(str(path), "w") as two,
    ):
        video = two.add_stream_from_template(one.streams.video[0], opaque=True)
        sound = two.add_stream("pcm_s16le", rate=48000, layout=layout)
        assert isinstance(sound, AudioStream)
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = video
                two.mux(packet)
        frame = AudioFrame.from_ndarray(tone(0, 9600 * count, rate=48000), format="s16", layout=layout)
        frame.sample_rate, frame.pts = 48000, 0
        two.mux(sound.encode(frame))
    return StitchInput(path, 6, "chunk 0")


def test_channels_that_the_encoder_does_not_have(tmp_path: Path) -> None:
    """Sound with an odd number of channels is refused with its format."""
    part = with_channels(tmp_path / "c0.mkv", "hexadecagonal", 16)
    with pytest.raises(RequestError, match=r"video.mp4 .* pcm_s16le, 48000 Hz, .* can't be put into it"):
        try_out(part, tmp_path / "video.mp4")


@pytest.mark.parametrize(("layout", "count"), [("5.1", 6), ("7.1", 8)])
@pytest.mark.parametrize("output", ["video.mp4", "video.webm"])
def test_surround_sound(tmp_path: Path, layout: str, count: int, output: str) -> None:
    """Sound with a plane for each of up to eight channels is encoded, and so is silence, by which it is tried out."""
    vp9 = write_clip(tmp_path / "vp9.mkv", VP9, start=0, count=6)
    silent = StitchInput(vp9 if output.endswith("webm") else write_clip(tmp_path / "c.mkv", Clip(), start=0, count=6),
                         6, "chunk 0")  # fmt: skip
    sound = with_channels(tmp_path / "sound.mkv", layout, count).path
    rehearse(
        silent, tmp_path / output, fps=FPS, order=SoundOrder(file=sound), temporary=tmp_path / f"rehearsal-{output}"
    )
    FfmpegStitcher().stitch([silent], tmp_path / output, fps=FPS, order=SoundOrder(file=sound))
    with av.open(str(tmp_path / output)) as video:
        assert video.streams.audio[0].codec_context.channels == count


def test_channels_in_an_order_of_their_own(tmp_path: Path) -> None:
    """MOV lists the channels of 7.1 sound in another order than FFmpeg: that is refused, and harms no memory."""
    part = with_channels(tmp_path / "c0.mov", "7.1", 8)
    data, usual, other = part.path.read_bytes(), bytes.fromhex("00010000 0000063f"), bytes.fromhex("00800008 00000000")
    place = data.index(b"chan") + 8  # the layout's tag and bits, in place of which older programs have a tag
    assert data[place : place + 8] == usual
    part.path.write_bytes(data[:place] + other + data[place + 8 :])
    for _ in range(3):
        with pytest.raises(OutputError, match=r"c0.mov: its sound has 8 channels \(FL\+.*an order of its own"):
            try_out(part, tmp_path / "video.mp4")
        with pytest.raises(RequestError, match=r"c0.mov: its sound has 8 channels \(FL\+"):
            open_tracks(part.path, SoundOrder(tracks=SoundTracks.ALL))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A place where nothing can be written is the environment's fault."""
    with pytest.raises(WorkerUnavailableError, match="can't be written: No such file"):
        try_out(chunk(tmp_path / "c0.mp4", Clip()), tmp_path / "nowhere" / "video.mp4")


def test_what_the_video_will_lack_is_told_by_the_rehearsal(tmp_path: Path) -> None:
    """Words, marks and chapters that the container has no place for are warnings with the first chunk."""
    plain = write_clip(tmp_path / "plain.mp4", Clip(), start=0, count=6)
    path = tmp_path / "c0.mkv"
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        stream.metadata.update(title="Kamera", language="deu")
        stream.disposition = Disposition.original | Disposition.comment
        two.metadata.update(title="Film", SCENE="4")
        two.set_chapters(
            [{"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "A"}}]
        )
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = stream
                two.mux(packet)
    part = StitchInput(path, 6, "chunk 0")
    said = {
        suffix: rehearse(part, tmp_path / f"v{suffix}", fps=FPS, temporary=tmp_path / f".v{suffix}")
        for suffix in (".mp4", ".mov", ".mkv")
    }
    begin = "chunk 0 has what the {} file has no place for: "
    assert said == {
        ".mp4": (begin.format(".mp4") + "mark original of the video, tag SCENE",),
        ".mov": (begin.format(".mov") + "mark original of the video, mark comment of the video, tag SCENE",),
        ".mkv": (),
    }
    for suffix, warnings in said.items():
        assert FfmpegStitcher().stitch([part], tmp_path / f"v{suffix}", fps=FPS).warnings == warnings
    fragmented = rehearse(part, tmp_path / "v.mp4", fps=FPS, delivery=Delivery(fragments="keyframe"),
                          temporary=tmp_path / ".v.mp4")  # fmt: skip
    assert fragmented == (
        begin.format(".mp4") + "chapters (1, found: 0)",
        begin.format(".mp4") + "mark original of the video, tag SCENE",
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("kind", ["title", "language", "mark", "tag", "chapter"])
def test_what_was_lost_although_there_is_a_place_is_an_error(tmp_path: Path, suffix: str, kind: str) -> None:
    """A finished file that lacks something that its container can hold is refused."""
    if (suffix, kind) == (".mov", "mark"):
        return  # it has no place for marks
    plain, path = write_clip(tmp_path / f"plain{suffix}", Clip(), start=0, count=6), tmp_path / f"c0{suffix}"
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        stream.metadata.update({"title": {"title": "Kamera"}, "language": {"language": "fra"}}.get(kind, {}))
        stream.disposition = Disposition.comment if kind == "mark" else Disposition.default
        two.metadata.update({"artist": "Ich"} if kind == "tag" else {})
        if kind == "chapter":
            mark = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "A"}}
            two.set_chapters([mark])  # type: ignore[list-item]
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = stream
                two.mux(packet)
    part, output = StitchInput(path, 6, "chunk 0"), tmp_path / f"v{suffix}"
    with ChunkFile(path, fps=FPS, frames=6) as first:
        with Join(output, output=output, fps=FPS, first=part, chunk=first, order=CHUNKS_OWN) as join:
            join.append(part, first)
            join.finish()
        with ChunkFile(output, fps=FPS, frames=6) as joined:
            join.check_said(joined, output=output)
        assert join.warnings == []
        with (
            ChunkFile(plain, fps=FPS, frames=6) as without,
            pytest.raises(RequestError, match=rf"v{suffix} lost what chunk 0 says, and .* has a place for: {kind}"),
        ):
            join.check_said(without, output=output)
