"""Fragments, brand and metadata of a joined video: written, read back, refused where a container can't have them."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from pydantic import ValidationError

from helios.errors import RequestError
from helios.media.boxes import outer_boxes
from helios.media.chunk_file import ChunkFile
from helios.media.delivery import check_delivered, check_delivery, say
from helios.media.rehearsal import rehearse
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.delivery import Delivery, parse_fragments
from helios.models.report import OutputReport
from testbed.video import Clip, read_numbers, write_clip

H264 = Clip(options={"g": "10", "bf": "2"})
WITH_SOUND = Clip(options={"g": "10", "bf": "2"}, sample_rate=48000)
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})


def chunks(folder: Path, clip: Clip, suffix: str = ".mov", *, language: str = "und", **tags: str) -> list[StitchInput]:
    """Three chunks of 10 frames; the first begins with these tags."""
    inputs = []
    for index in range(3):
        path = write_clip(folder / f"plain{suffix}", clip, start=10 * index, count=10)
        named = folder / f"c{index}{suffix}"
        with av.open(str(path)) as one, av.open(str(named), "w") as two:
            two.metadata.update(tags)
            streams = [two.add_stream_from_template(stream, opaque=True) for stream in one.streams]
            streams[0].metadata["language"] = language
            for packet in one.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    two.mux(packet)
        inputs.append(StitchInput(named, 10, f"chunk {index}"))
    return inputs


def stitch(inputs: list[StitchInput], output: Path, delivery: Delivery) -> OutputReport:
    report = FfmpegStitcher().stitch(inputs, output, fps=Fraction(30), delivery=delivery)
    assert read_numbers(output) == list(range(30))
    return report


def fragments(path: Path) -> list[list[tuple[int, bool]]]:
    """Of each fragment, each track's number of samples, and whether its first is a key frame (ISO 14496-12, 8.8)."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"moof":
            found.append(list(runs(data[at + 8 : at + size])))
        at += size
    return found


def runs(moof: bytes) -> Iterator[tuple[int, bool]]:
    for kind, content in boxes(moof):
        if kind == b"traf":
            flags = 0
            for inner, data in boxes(content):
                if inner == b"tfhd":
                    (tfhd,) = struct.unpack_from(">I", data)
                    # The default flags come last, if they are there.
                    flags = struct.unpack_from(">I", data, len(data) - 4)[0] if tfhd & 0x20 else 0
                if inner == b"trun":
                    trun, count = struct.unpack_from(">II", data)
                    # The first sample's flags stand before all samples, or in its own entry, or are the default.
                    place = 8 + 4 * (trun & 1) + (4 * (trun >> 8 & 1) + 4 * (trun >> 9 & 1) if trun & 0x400 else 0)
                    first = struct.unpack_from(">I", data, place)[0] if trun & 0x404 else flags
                    yield count, not first & 0x10000


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_a_fragment_for_each_key_frame(tmp_path: Path, suffix: str) -> None:
    """The index stands in front without samples, and each fragment begins with a key frame."""
    video = tmp_path / f"video{suffix}"
    report = stitch(chunks(tmp_path, WITH_SOUND), video, Delivery(fragments="keyframe"))
    kinds = [kind for kind in outer_boxes(video) if kind not in {"free", "wide"}]
    assert kinds == ["ftyp", "moov", *["moof", "mdat"] * 3, "mfra"]
    pictures = [parts[0] for parts in fragments(video)]
    assert pictures == [(10, True)] * 3
    assert report.warnings == ()
    with av.open(str(video)) as file:
        assert (file.streams.video[0].start_time, file.streams.audio[0].start_time) == (0, 0)


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, [10, 10, 10]), (0.5, [20, 10]), (60.0, [30])])
def test_fragments_of_some_seconds_begin_with_key_frames(tmp_path: Path, seconds: float, expected: list[int]) -> None:
    """A fragment has at least so many seconds, and goes on to the next key frame."""
    video = tmp_path / "video.mp4"
    stitch(chunks(tmp_path, H264), video, Delivery(fragments=seconds))
    assert [parts[0] for parts in fragments(video)] == [(count, True) for count in expected]


def test_without_settings_the_index_stands_in_front(tmp_path: Path) -> None:
    """An ordinary file is not fragmented."""
    stitch(chunks(tmp_path, H264), tmp_path / "video.mp4", Delivery())
    kinds = list(outer_boxes(tmp_path / "video.mp4"))
    assert kinds.index("moov") < kinds.index("mdat")
    assert "moof" not in kinds


@pytest.mark.parametrize("brand", ["mp42", "dash", "iso6"])
@pytest.mark.parametrize("pieces", [None, "keyframe"])
def test_a_brand(tmp_path: Path, brand: str, pieces: Any) -> None:
    """The major brand is the one that was asked for."""
    stitch(chunks(tmp_path, H264), tmp_path / "video.mp4", Delivery(brand=brand, fragments=pieces))
    assert (tmp_path / "video.mp4").read_bytes()[4:12] == b"ftyp" + brand.encode()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_metadata(tmp_path: Path, suffix: str) -> None:
    """Texts, the language of both tracks and the time of creation are in the file; what chunks say is replaced."""
    clip = Clip(codec="libvpx-vp9", options={"deadline": "realtime"}, sample_rate=48000)
    inputs = chunks(tmp_path, clip if suffix == ".webm" else WITH_SOUND, ".mkv", title="Roh", comment="Entwurf")
    wanted = {"title": "Der Film", "comment": "", "language": "deu", "creation_time": "2026-11-26T13:00:00+01:00"}
    video = tmp_path / f"video{suffix}"
    report = stitch(inputs, video, Delivery(metadata=wanted))
    with ChunkFile(video, fps=Fraction(30), frames=30) as file:
        said = file.said
    tags = {key.lower(): value for key, value in said.tags.items()}
    assert tags["title"] == "Der Film"
    assert "comment" not in tags
    assert said.created.startswith("2026-11-26T12:00:00")
    assert said.audio is not None
    assert {said.video.language, said.audio.language} <= {"deu", "ger"}
    assert report.warnings == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_empty_metadata_leave_out_what_the_chunks_say(tmp_path: Path, suffix: str) -> None:
    """An empty language is none, as an empty title is; an empty time is that of no file."""
    inputs, video = chunks(tmp_path, WITH_SOUND, ".mkv", language="deu", title="Roh"), tmp_path / f"video{suffix}"
    report = stitch(inputs, video, Delivery(metadata={"title": "", "language": "", "creation_time": ""}))
    assert report.warnings == ()
    with ChunkFile(video, fps=Fraction(30), frames=30) as file:
        assert (file.said.tags.get("title", ""), file.said.video.language, file.said.created) == ("", "und", "")


def test_tags_of_the_chunks_stay(tmp_path: Path) -> None:
    """What is not ordered is as the first chunk says it."""
    inputs = chunks(tmp_path, H264, ".mkv", title="Roh", artist="Ich")
    stitch(inputs, tmp_path / "video.mp4", Delivery(metadata={"Title": "Fertig"}))
    with av.open(str(tmp_path / "video.mp4")) as file:
        assert (file.metadata["title"], file.metadata["artist"]) == ("Fertig", "Ich")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (
            "v.mkv",
            {"fragments": "keyframe"},
            "v.mkv: matroska has no fragments (--fragments); use one of .mp4, .m4v, .mov",
        ),
        ("v.webm", {"brand": "mp42"}, "v.webm: webm has no brand (--brand); use one of .mp4, .m4v, .mov"),
        (
            "v.mp4",
            {"metadata": {"scene": "4"}},
            "v.mp4: mp4 has no place for the metadata scene '4' (--metadata); a .mkv",
        ),
        ("v.mov", {"metadata": {"scene": "4"}}, "v.mov: mov has no place for the metadata scene '4'"),
        ("v.mp4", {"metadata": {"encoder": "me"}}, "The metadata encoder (--metadata) describe how a file was written"),
        ("v.mp4", {"metadata": {"timecode": "01:00:00:00"}}, "The metadata timecode (--metadata) describe how"),
    ],
)
def test_what_a_container_can_not_do_is_refused(name: str, settings: dict[str, Any], said: str) -> None:
    """The container is tried in memory, so that nothing is dropped in silence."""
    with pytest.raises(RequestError) as caught:
        check_delivery(Path(name), Delivery(**settings))
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.webm"])
def test_what_a_container_can_do_is_not_refused(name: str) -> None:
    """The usual keys pass in each container, and Matroska takes any."""
    usual = {"title": "a", "comment": "b", "artist": "c", "copyright": "d", "language": "eng"}
    check_delivery(Path(name), Delivery(metadata=usual | {"creation_time": "2026-11-26T12:00:00"}))
    check_delivery(Path("v.mkv"), Delivery(metadata={"scene": "4"}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fragments": "keyframes"}, "keyframe, or a number of seconds"),
        ({"fragments": 0}, "keyframe, or a number of seconds"),
        ({"fragments": True}, "keyframe, or a number of seconds"),
        ({"brand": "mp4"}, "a brand of four characters"),
        ({"brand": "mp42\n"}, "a brand of four characters"),
        ({"metadata": {"a b": "c"}}, "keys of up to 100 characters without spaces"),
        ({"metadata": {"language": "German"}}, "three letters of ISO 639-2"),
        ({"metadata": {"creation_time": "yesterday"}}, "a creation_time in whole seconds"),
        ({"metadata": {"creation_time": "2026-11-26T12:00:00.5Z"}}, "a creation_time in whole seconds"),
        ({"moov": "last"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], said: str) -> None:
    """Wrong values are refused with what was expected."""
    with pytest.raises(ValidationError, match=said):
        Delivery.model_validate(settings)


def test_seconds_of_the_command_line_are_texts() -> None:
    """A number of seconds may come as a text."""
    assert (parse_fragments("2.5"), parse_fragments(4), parse_fragments("keyframe")) == (2.5, 4.0, "keyframe")


def test_the_finished_file_is_read_for_what_was_ordered(tmp_path: Path) -> None:
    """Each setting that the file does not have is named."""
    stitch(chunks(tmp_path, H264), video := tmp_path / "video.mp4", Delivery())
    ordered = Delivery(
        fragments=2.0, brand="dash", metadata={"title": "A", "creation_time": "2026-11-26", "language": "deu"}
    )
    with ChunkFile(video, fps=Fraction(30), frames=30) as file, pytest.raises(RequestError) as caught:
        check_delivered(video, file.said, ordered, output=video)
    assert str(caught.value).startswith(
        "video.mp4 does not have what was ordered: metadata title 'A', metadata creation_time '2026-11-26T00:00:00Z', "
        "metadata language 'deu' (it would be 'und'), brand dash (found: isom), fragments (found: mdat); "
    )


def test_the_rehearsal_has_the_same_settings(tmp_path: Path) -> None:
    """What a video of such chunks can't have is refused after the first chunk."""
    first = chunks(tmp_path, WITH_SOUND)[0]
    settings = Delivery(fragments="keyframe", brand="iso6", metadata={"title": "A", "language": "deu"})
    rehearse(first, tmp_path / "v.mp4", fps=Fraction(30), delivery=settings, temporary=tmp_path / ".v.mp4")
    assert not (tmp_path / ".v.mp4").exists()


def test_chapters_that_fragments_have_no_place_for_are_told(tmp_path: Path) -> None:
    """Chapters stand in the index, which a fragmented file has written before they are known."""
    inputs = chunks(tmp_path, H264, ".mkv")
    marked = tmp_path / "marked.mkv"
    with av.open(str(inputs[0].path)) as one, av.open(str(marked), "w") as two:
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        mark = {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000), "metadata": {"title": "Anfang"}}
        two.set_chapters([mark])  # type: ignore[list-item]
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = stream
                two.mux(packet)
    inputs[0] = StitchInput(marked, 10, "chunk 0")
    report = stitch(inputs, tmp_path / "video.mp4", Delivery(fragments="keyframe"))
    assert report.warnings == ("chunk 0 has what the .mp4 file has no place for: chapters (1, found: 0)",)
    assert stitch(inputs, tmp_path / "whole.mp4", Delivery()).warnings == ()


def test_what_is_said_is_what_is_ordered(tmp_path: Path) -> None:
    """The time of creation of a chunk is not carried; that of the order is."""
    with ChunkFile(chunks(tmp_path, H264)[0].path, fps=Fraction(30), frames=10) as file:
        assert say(file.said, Delivery()).created == ""
        assert say(file.said, Delivery(metadata={"creation_time": "2026-11-26"})).created == "2026-11-26T00:00:00Z"
