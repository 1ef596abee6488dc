"""What chunks say about their pictures, their sound and themselves is said by the joined video, too."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from helios.errors import OutputError, RequestError
from helios.media.chunk_file import ChunkFile
from helios.media.ebml import SEGMENT, TRACK, TRACKS, VIDEO, child, element, elements
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.report import OutputReport
from testbed.video import Clip, read_numbers, write_clip

H264 = Clip()
HEVC = Clip(codec="libx265", options={"x265-params": "log-level=error"})
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})
PRORES = Clip(codec="prores_ks", pixel_format="yuv422p10le")
PRORES_4444 = Clip(codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4444"})
FFV1 = Clip(codec="ffv1")

Change = Callable[[VideoStream, OutputContainer], object]


def make_chunks(folder: Path, clip: Clip, suffix: str, change: Change) -> list[StitchInput]:
    """Two chunks of 6 frames, whose headers say what `change` does to them."""
    inputs = []
    for index in range(2):
        plain = write_clip(folder / f"plain{suffix}", clip, start=6 * index, count=6)
        path = folder / f"c{index}{suffix}"
        with av.open(str(plain)) as one, av.open(str(path), "w") as two:
            stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
            stream.codec_context.framerate = clip.fps
            change(stream, two)
            for packet in one.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    two.mux(packet)
        inputs.append(StitchInput(path, 6, f"chunk {index}"))
    return inputs


def stitch(inputs: list[StitchInput], output: Path) -> OutputReport:
    report = FfmpegStitcher().stitch(inputs, output, fps=Fraction(30))
    assert read_numbers(output) == list(range(12))
    return report


def aspect(value: Fraction) -> Change:
    return lambda stream, _: setattr(stream.codec_context, "sample_aspect_ratio", value)


@pytest.mark.parametrize(
    ("clip", "suffix", "output"),
    [
        (H264, ".mp4", "video.mp4"),
        (H264, ".mp4", "video.mkv"),
        (VP9, ".mp4", "video.webm"),
        (VP9, ".mp4", "video.mp4"),
        (PRORES, ".mov", "video.mov"),
        (PRORES, ".mov", "video.mkv"),
    ],
)
@pytest.mark.parametrize("value", [Fraction(4, 3), Fraction(32, 27)])
def test_the_shape_of_pixels(tmp_path: Path, clip: Clip, suffix: str, output: str, value: Fraction) -> None:
    """Pixels that are not square are not square in the video either, whether or not the codec knows of them."""
    report = stitch(make_chunks(tmp_path, clip, suffix, aspect(value)), tmp_path / output)
    with av.open(str(tmp_path / output), options={"err_detect": "crccheck+explode"}) as video:
        assert video.streams.video[0].sample_aspect_ratio == value
        assert not video.streams.video[0].metadata.get("title")
    assert report.warnings == ()


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("output", ["video.mp4", "video.mov", "video.mkv"])
def test_rotation(tmp_path: Path, degrees: int, output: str) -> None:
    """Pictures that are to be turned before they are shown are turned in the video."""
    stitch(make_chunks(tmp_path, H264, ".mp4", lambda one, _: one.set_display_rotation(degrees)), tmp_path / output)
    with av.open(str(tmp_path / output)) as video:
        assert next(video.decode(video=0)).rotation % 360 == degrees


@pytest.mark.parametrize("output", ["video.mp4", "video.mkv"])
def test_a_mirror(tmp_path: Path, output: str) -> None:
    """Pictures that are to be mirrored before they are shown are mirrored in the video."""
    inputs = make_chunks(tmp_path, H264, ".mp4", lambda one, _: one.set_display_rotation(0, vflip=True))
    stitch(inputs, tmp_path / output)
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        assert video.said.facts.rotation == "matrix 1 0 0 0 -1 0 0 0 1"


def alpha(stream: VideoStream, _: object) -> None:
    stream.metadata["alpha_mode"] = "1"


@pytest.mark.parametrize("output", ["video.webm", "video.mkv"])
def test_alpha_of_vp9(tmp_path: Path, output: str) -> None:
    """Browsers look for the alpha of VP9 only where the track says that there is one."""
    stitch(make_chunks(tmp_path, VP9, ".webm", alpha), tmp_path / output)
    assert b"\x53\xc0\x81\x01" in (tmp_path / output).read_bytes()[:4096], "Matroska's AlphaMode"


def test_alpha_of_vp9_has_no_place_in_mp4(tmp_path: Path) -> None:
    """A fact that the container has no place for ends the stitch, with what to do; nothing is left behind."""
    with pytest.raises(RequestError, match="video.mp4 can't say what chunk 0 says.*: alpha True"):
        stitch(make_chunks(tmp_path, VP9, ".webm", alpha), tmp_path / "video.mp4")
    assert not (tmp_path / "video.mp4").exists()


@pytest.mark.parametrize("output", ["video.mov", "video.mkv"])
def test_alpha_of_prores(tmp_path: Path, output: str) -> None:
    """ProRes 4444 keeps its alpha."""
    stitch(make_chunks(tmp_path, PRORES_4444, ".mov", lambda *_: None), tmp_path / output)
    with av.open(str(tmp_path / output)) as video:
        assert video.streams.video[0].pix_fmt == "yuva444p10le"


def timecode(stream: VideoStream, _: object) -> None:
    stream.metadata["timecode"] = "01:00:00:00"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("output", ["video.mp4", "video.mov", "video.mkv"])
def test_time_code(tmp_path: Path, suffix: str, output: str) -> None:
    """The video begins at the time code of its first chunk."""
    stitch(make_chunks(tmp_path, H264, suffix, timecode), tmp_path / output)
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        assert video.said.timecode == "01:00:00:00"


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("output", ["video.mov", "video.mkv"])
def test_field_order(tmp_path: Path, order: int, output: str) -> None:
    """Interlaced pictures stay interlaced, with the same field first."""
    stitch(
        make_chunks(tmp_path, PRORES, ".mov", lambda one, _: setattr(one.codec_context, "field_order", order)),
        tmp_path / output,
    )
    with av.open(str(tmp_path / output)) as video:
        assert video.streams.video[0].codec_context.field_order == order


def bt2020(stream: VideoStream, _: object) -> None:
    context = stream.codec_context
    context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9


@pytest.mark.parametrize(
    ("clip", "suffix", "output"),
    [
        (VP9, ".webm", "video.webm"),
        (VP9, ".webm", "video.mp4"),
        (H264, ".mp4", "video.mkv"),
        (HEVC, ".mkv", "video.mp4"),
        (FFV1, ".mkv", "video.mkv"),
    ],
)
def test_colors_of_the_container(tmp_path: Path, clip: Clip, suffix: str, output: str) -> None:
    """Primaries, transfer characteristic and matrix that only the container says are in the video."""
    stitch(make_chunks(tmp_path, clip, suffix, bt2020), tmp_path / output)
    with av.open(str(tmp_path / output)) as video:
        context = video.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)


@pytest.mark.parametrize(("output", "language"), [("video.mp4", "deu"), ("video.mkv", "deu"), ("video.mov", "ger")])
def test_names_and_languages(tmp_path: Path, output: str, language: str) -> None:
    """Titles, the language and the mark of a track, and the file's own tags are in the video."""

    def change(stream: VideoStream, file: OutputContainer) -> None:
        stream.metadata.update(title="Hauptkamera", language="deu")
        stream.disposition = Disposition.default
        file.metadata.update(title="Der Film", artist="Ich", copyright="2026")

    report = stitch(make_chunks(tmp_path, H264, ".mkv", change), tmp_path / output)
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        assert (video.said.video.title, video.said.video.language) == ("Hauptkamera", language)
        tags = {key.lower(): value for key, value in video.said.tags.items()}
        assert (tags["title"], tags["artist"], tags["copyright"]) == ("Der Film", "Ich", "2026")
    assert report.warnings == ()


def test_what_there_is_no_place_for_is_told(tmp_path: Path) -> None:
    """A tag that the container can't hold is a warning in the report."""
    inputs = make_chunks(tmp_path, H264, ".mkv", lambda _, file: file.metadata.update(SCENE="4"))
    report = stitch(inputs, tmp_path / "video.mp4")
    assert report.warnings == ("chunk 0 has what the .mp4 file has no place for: tag SCENE",)
    assert stitch(inputs, tmp_path / "video.mkv").warnings == ()


@pytest.mark.parametrize("output", ["video.mp4", "video.mkv"])
def test_chapters(tmp_path: Path, output: str) -> None:
    """Each chunk's chapters lie where the chunk lies; one that goes on in the next chunk is one."""

    def change(_: VideoStream, file: OutputContainer) -> None:
        marks = (
            [(0, 100, "Anfang"), (100, 200, "Ende")] if "c0" in file.name else [(0, 50, "Ende"), (50, 200, "Danach")]
        )
        milli = Fraction(1, 1000)
        file.set_chapters(
            [
                {"id": n, "start": start, "end": end, "time_base": milli, "metadata": {"title": title}}
                for n, (start, end, title) in enumerate(marks, start=1)
            ]
        )

    stitch(make_chunks(tmp_path, H264, ".mkv", change), tmp_path / output)
    with av.open(str(tmp_path / output)) as video:
        found = [(float(one["start"] * (one["time_base"] or 0)), one["metadata"]["title"]) for one in video.chapters()]
    assert found == [(0.0, "Anfang"), (0.1, "Ende"), (0.25, "Danach")]


def tag_of(path: Path) -> str:
    with av.open(str(path)) as video:
        return video.streams.video[0].codec_tag


@pytest.mark.parametrize("own", ["hvc1", "hev1"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("output", ["video.mp4", "video.mov"])
def test_hevc_is_what_apple_plays(tmp_path: Path, own: str, suffix: str, output: str) -> None:
    """HEVC is called hvc1 in MP4 and MOV, whatever the chunks call it."""
    change: Change = lambda one, _: setattr(one.codec_context, "codec_tag", own) if suffix != ".mkv" else None  # noqa: E731
    stitch(make_chunks(tmp_path, HEVC, suffix, change), tmp_path / output)
    assert tag_of(tmp_path / output) == "hvc1"


@pytest.mark.parametrize(("profile", "tag"), [("proxy", "apco"), ("lt", "apcs"), ("standard", "apcn"), ("hq", "apch")])
@pytest.mark.parametrize("output", ["video.mov", "video.mkv"])
def test_flavours_of_prores(tmp_path: Path, profile: str, tag: str, output: str) -> None:
    """Each flavour of ProRes keeps its name."""
    clip = Clip(codec="prores_ks", pixel_format="yuv422p10le", options={"profile": profile})
    change: Change = lambda one, _: setattr(one.codec_context, "codec_tag", tag)  # noqa: E731
    stitch(make_chunks(tmp_path, clip, ".mov", change), tmp_path / output)
    assert tag_of(tmp_path / output) == tag


@pytest.mark.parametrize(
    ("clip", "profile", "tag"),
    [
        (Clip(codec="dnxhd", width=1280, height=720, pixel_format="yuv422p", options={"b": "110M"}), "DNXHD", "AVdn"),
        (
            Clip(codec="dnxhd", width=256, height=128, pixel_format="yuv422p", options={"profile": "dnxhr_hq"}),
            "DNXHR HQ",
            "AVdh",
        ),
        (
            Clip(codec="dnxhd", width=256, height=128, pixel_format="yuv444p10le", options={"profile": "dnxhr_444"}),
            "DNXHR 444",
            "AVdh",
        ),
    ],
    ids=["dnxhd", "dnxhr-hq", "dnxhr-444"],
)
@pytest.mark.parametrize("output", ["video.mov", "video.mkv", "video.mp4"])
def test_flavours_of_dnxhd(tmp_path: Path, clip: Clip, profile: str, tag: str, output: str) -> None:
    """DNxHD and DNxHR keep their profile and their pictures in MOV; the others, which have no name for them, refuse."""
    inputs = make_chunks(tmp_path, clip, ".mov", lambda *_: None)
    if not output.endswith(".mov"):
        with pytest.raises(RequestError, match=r"has no place for dnxhd video; use one of .mov"):
            FfmpegStitcher().stitch(inputs, tmp_path / output, fps=Fraction(30))
        return
    assert stitch(inputs, tmp_path / output).warnings == ()
    with av.open(str(tmp_path / output)) as video:
        assert video.streams.video[0].profile == profile
        assert video.streams.video[0].pix_fmt == clip.pixel_format
    assert tag_of(tmp_path / output) == tag


def test_a_sound_track_keeps_its_name_and_language(tmp_path: Path) -> None:
    """What the chunks say about their sound is said about the video's sound."""
    inputs = []
    for index in range(2):
        clip = Clip(sample_rate=48000)
        plain = write_clip(tmp_path / "plain.mov", clip, start=6 * index, count=6)
        path = tmp_path / f"c{index}.mov"
        with av.open(str(plain)) as one, av.open(str(path), "w") as two:
            streams = [two.add_stream_from_template(stream, opaque=True) for stream in one.streams]
            streams[1].metadata.update(title="Ton", language="fra")
            for packet in one.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    two.mux(packet)
        inputs.append(StitchInput(path, 6, f"chunk {index}"))
    for output in ("video.mp4", "video.mkv"):
        stitch(inputs, tmp_path / output)
        with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
            assert video.said.audio is not None
            assert (video.said.audio.title, video.said.audio.language) == ("Ton", "fra")


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "png"), (".mp4", "mjpeg")])
def test_a_cover_is_no_second_video(tmp_path: Path, suffix: str, codec: str) -> None:
    """A cover picture, which FFmpeg shows as a track, does not count as one; the report says that it is left out."""

    def change(_: VideoStream, file: OutputContainer) -> None:
        cover = file.add_stream(codec, rate=30)
        assert isinstance(cover, VideoStream)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24" if codec == "png" else "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.VideoFrame(16, 16, cover.pix_fmt)
        file.mux([*cover.encode(frame), *cover.encode(None)])

    report = stitch(make_chunks(tmp_path, H264, suffix, change), tmp_path / f"video{suffix}")
    assert report.warnings == ("chunk 0 has further tracks, which are left out: cover picture",)


def test_the_alpha_of_every_frame_of_vp9(tmp_path: Path) -> None:
    """VP9's alpha lies beside each coded picture: the video has it in every frame."""
    inputs = []
    for index in range(2):
        path = tmp_path / f"c{index}.webm"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libvpx-vp9", rate=30, options={"auto-alt-ref": "0", "deadline": "realtime"})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
            for number in range(6):
                pixels = np.full((64, 64, 4), 128, np.uint8)
                pixels[:, :, 3] = np.where(np.arange(64) < 32, 0, 255)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
                frame.pts = number
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        inputs.append(StitchInput(path, 6, f"chunk {index}"))
    FfmpegStitcher().stitch(inputs, tmp_path / "video.webm", fps=Fraction(30))
    assert b"\x53\xc0\x81\x01" in (tmp_path / "video.webm").read_bytes()[:4096], "Matroska's AlphaMode"
    decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder leaves the alpha out
    with av.open(str(tmp_path / "video.webm")) as video:
        frames = [frame for packet in video.demux(video=0) if packet.size for frame in decoder.decode(packet)]
    alphas = [frame.to_ndarray(format="rgba")[:, :, 3] for frame in frames if isinstance(frame, av.VideoFrame)]
    assert len(alphas) == 12
    assert all(alpha[:, :28].max() < 8 and alpha[:, 36:].min() > 247 for alpha in alphas)


def sized(number: str, content: bytes) -> bytes:
    """An element of Matroska, whose length has 8 bytes."""
    return bytes.fromhex(number) + b"\x01" + len(content).to_bytes(7) + content


def with_hdr(path: Path) -> None:
    """Have the header of a file that FFmpeg wrote for a live stream say how bright its pictures are."""
    primaries = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329, 1000.0, 0.005)
    mastering = b"".join(
        sized(f"{0x55D1 + index:x}", struct.pack(">d", value)) for index, value in enumerate(primaries)
    )
    light = sized("55bc", (1000).to_bytes(2)) + sized("55bd", (400).to_bytes(2))
    colour = sized(
        "55b0",
        sized("55b1", b"\x09") + sized("55ba", b"\x10") + sized("55bb", b"\x09") + light + sized("55d0", mastering),
    )
    data = path.read_bytes()
    tracks = next(one for one in elements(data[data.rindex(bytes.fromhex("1654ae6b")) :]))
    entry = next(one for one in elements(tracks.data) if one.id == TRACK)
    parts = []
    for one in elements(entry.data):
        content = one.data
        if one.id == VIDEO:
            kept = (sized(f"{part.id:x}", part.data) for part in elements(one.data) if part.id != 0x55B0)
            content = b"".join([*kept, colour])
        parts.append(sized(f"{one.id:x}", content))
    start = data.rindex(bytes.fromhex("1654ae6b"))
    path.write_bytes(data[:start] + sized("1654ae6b", sized("ae", b"".join(parts))) + data[start + tracks.end :])


@pytest.mark.parametrize("output", ["video.mp4", "video.mkv"])
def test_how_bright_hdr_is(tmp_path: Path, output: str) -> None:
    """The mastering display and the light levels of the chunks' container are in the video's, in MP4 and Matroska."""
    inputs = []
    for index in range(2):
        path = tmp_path / f"c{index}.mkv"
        live = {"live": "1", "write_crc32": "0"}
        with (
            av.open(str(write_clip(tmp_path / "plain.mp4", HEVC, start=6 * index, count=6))) as one,
            av.open(str(path), "w", container_options=live) as two,
        ):
            stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
            for packet in one.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    two.mux(packet)
        with_hdr(path)
        inputs.append(StitchInput(path, 6, f"chunk {index}"))
    with ChunkFile(inputs[0].path, fps=Fraction(30), frames=6) as chunk:
        said = chunk.said
    stitch(inputs, tmp_path / output)
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        assert video.said.facts.light_level == said.facts.light_level == (1000, 400)
        assert video.said.facts.mastering_display == pytest.approx(said.facts.mastering_display, abs=1e-4)
        assert len(said.facts.mastering_display) == 10


def _named(path: Path, clip: Clip, *, by_person: bool) -> Path:
    """A chunk whose tracks have names where programs write their own."""
    plain = write_clip(path.with_stem("plain"), clip, start=0, count=6)
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        streams = [two.add_stream_from_template(stream, opaque=True) for stream in one.streams]
        for stream, name in zip(streams, ("Camera A", "Dialogue"), strict=True):
            stream.metadata["handler_name"] = name if by_person else "Core Media Handler"
        streams[0].metadata["encoder"] = "Own 2.1" if by_person else "Lavc62.0.0 libx264"
        if by_person:
            streams[0].metadata["reel_name"] = "R7"
        for packet in one.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                two.mux(packet)
    return path


@pytest.mark.parametrize("by_person", [True, False])
@pytest.mark.parametrize("output", ["video.mp4", "video.mov", "video.mkv", "video.webm"])
def test_names_that_persons_gave_tracks(tmp_path: Path, output: str, by_person: bool) -> None:
    """What a person wrote where programs write their own names is kept, or told; what programs wrote is not told."""
    clip = replace(VP9 if output.endswith("webm") else H264, sample_rate=48_000)
    chunk = StitchInput(_named(tmp_path / "chunk.mkv", clip, by_person=by_person), 6, "chunk 0")
    report = FfmpegStitcher().stitch([chunk], tmp_path / output, fps=Fraction(30))
    if not by_person:
        assert report.warnings == ()
        return
    with av.open(str(tmp_path / output)) as video:
        said = [{key.lower(): value for key, value in one.metadata.items()} for one in video.streams]
    assert [one["handler_name"] for one in said[:2]] == ["Camera A", "Dialogue"]
    for name, value in (("reel_name", "R7"), ("encoder", "Own 2.1")):
        assert said[0].get(name) == value or f"tag {name} of the video" in "".join(report.warnings)


def _cropped(path: Path, *, start: int) -> StitchInput:
    """A Matroska file of which 16 rows at the top are not to be shown."""
    data = write_clip(path, H264, start=start, count=6).read_bytes()
    (segment,) = (one for one in elements(data) if one.id == SEGMENT)
    head, tracks = {0x114D9B74, 0x1C53BB6B}, child(segment.data, TRACKS, TRACK)  # places in the file, which change
    assert tracks is not None
    of_track = [element(one.id, one.data + (element(0x54BB, b"\x10") if one.id == VIDEO else b""))
                for one in elements(tracks.data)]  # fmt: skip
    inner = [element(TRACKS, element(TRACK, b"".join(of_track))) if one.id == TRACKS else element(one.id, one.data)
             for one in elements(segment.data) if one.id not in head]  # fmt: skip
    path.write_bytes(data[: segment.start] + element(SEGMENT, b"".join(inner)))
    return StitchInput(path, 6, path.stem)


def test_pixels_that_are_not_shown(tmp_path: Path) -> None:
    """Cropping that stands in the container is kept, and compared."""
    chunks = [_cropped(tmp_path / f"c{index}.mkv", start=6 * index) for index in range(2)]
    for output in ("video.mkv", "video.mp4", "video.mov"):
        stitch(chunks, tmp_path / output)
        with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
            assert video.said.facts.cropping == (16, 0, 0, 0)
    whole = StitchInput(write_clip(tmp_path / "whole.mkv", H264, start=6, count=6), 6, "whole")
    with pytest.raises(OutputError, match=r"whole does not fit c0: cropping \(\) instead of \(16, 0, 0, 0\)"):
        stitch([chunks[0], whole], tmp_path / "video.mkv")
