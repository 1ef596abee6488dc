"""HDR10 and Dolby Vision survive the join: what the chunks' containers say about them is said by the video."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import pytest

from helios.errors import MisfitError, RequestError
from helios.media.chunk_file import ChunkFile
from helios.media.ebml import CLUSTER, SEGMENT, TIMESTAMP, TRACK, TRACK_TYPE, TRACKS, VIDEO, element
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.media.verify import verify_output
from helios.models.delivery import Delivery
from testbed.video import Clip, read_numbers, write_clip

HDR10 = Clip(
    codec="libx265",
    pixel_format="yuv420p10le",
    options={"x265-params": "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"},
)
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""Boxes above the sample descriptions, from the outside."""
SAMPLE_ENTRY = 8 + 78
"""Bytes of a video's sample entry before the boxes in it (ISO 14496-12, section 12.1.3.2)."""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mastering(brightest: int = 1000) -> bytes:
    """The mastering display's colors and luminances (SMPTE ST 2086); DCI-P3, in 1/50,000, and 1/10,000 cd/m²."""
    primaries = (13250, 34500, 7500, 3000, 34000, 16000)  # green, blue, red
    return box(b"mdcv", struct.pack(">8H2I", *primaries, 15635, 16450, brightest * 10_000, 50))


LIGHT = box(b"clli", struct.pack(">2H", 1000, 400))


def dolby_vision(level: int = 6) -> bytes:
    """A configuration record of profile 8.1 (Dolby Vision Streams within the ISO Base Media File Format, 3.2)."""
    profile = 8
    record = bytes([1, 0, profile << 1 | level >> 5, (level & 31) << 3 | 0b101, 1 << 4]) + bytes(19)
    return box(b"dvvC", record)


def put_in(path: Path, more: bytes) -> None:
    """Put boxes into the sample entry of a video whose index comes last, so that nothing else moves."""
    data = bytearray(path.read_bytes())
    places, start, end = [], 0, len(data)
    for kind in CONTAINERS:
        at = find(data, kind, start, end)
        places.append(at)
        start, end = at + 8, at + struct.unpack_from(">I", data, at)[0]
    places.append(stsd := find(data, b"stsd", start, end))
    places.append(entry := stsd + 16)
    insert = entry + struct.unpack_from(">I", data, entry)[0]
    for at in places:
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(more))
    assert find(data, b"mdat", 0, len(data)) < places[0]
    data[insert:insert] = more
    path.write_bytes(data)


def find(data: bytes | bytearray, kind: bytes, start: int, end: int) -> int:
    """Where the first box of a kind begins."""
    while start < end:
        size, found = struct.unpack_from(">I4s", data, start)
        if found == kind:
            return start
        start += size
    raise AssertionError(kind)


def make_chunks(folder: Path, clip: Clip, more: bytes, suffix: str = ".mp4") -> list[StitchInput]:
    inputs = []
    for index in range(2):
        path = write_clip(folder / f"c{index}{suffix}", clip, start=6 * index, count=6)
        put_in(path, more)
        inputs.append(StitchInput(path, 6, f"chunk {index}"))
    return inputs


@pytest.mark.parametrize(("output", "pieces"), [("video.mp4", None), ("video.mp4", "keyframe"), ("video.mkv", None)])
def test_hdr10_and_dolby_vision(tmp_path: Path, output: str, pieces: Literal["keyframe"] | None) -> None:
    """Mastering display, light level and Dolby Vision's configuration are in the video as they are in the chunks."""
    inputs = make_chunks(tmp_path, HDR10, mastering() + LIGHT + dolby_vision())
    report = FfmpegStitcher().stitch(inputs, tmp_path / output, fps=Fraction(30), delivery=Delivery(fragments=pieces))
    assert report.warnings == ()
    assert read_numbers(tmp_path / output) == list(range(12))
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        facts = video.said.facts
        assert video.said.color[1:] == (9, 16, 9)
    display = facts.mastering_display
    assert display[:2] == pytest.approx((0.68, 0.32), abs=1e-4)
    assert display[8:] == pytest.approx((1000, 0.005), abs=1e-4)
    assert facts.light_level == (1000, 400)
    assert facts.dolby_vision != "none"
    data = (tmp_path / output).read_bytes()
    assert dolby_vision()[8:13] in data
    if not output.endswith(".mkv"):
        assert mastering() in data
        assert LIGHT in data
        assert dolby_vision() in data


def with_hdr10_plus(plain: Path, path: Path) -> Path:
    """Copy a file in VP9 to one that has HDR10+ beside each picture, as WebM keeps it (RFC 9559, BlockAdditions)."""
    bits = f"{1:08b}{1:02b}{1000:027b}0" + 3 * f"{20_000:017b}" + f"{5_000:017b}" + "0000" + f"{0:010b}" + "000"
    bits += "0" * (-len(bits) % 8)
    # ITU-T T.35: United States, Samsung's code, HDR10+ (SMPTE ST 2094-40).
    message = bytes([0xB5, 0, 0x3C, 0, 1, 4]) + int(bits, 2).to_bytes(len(bits) // 8)
    addition = element(0x75A1, element(0xA6, element(0xEE, b"\x04") + element(0xA5, message)))
    blocks = element(TIMESTAMP, b"\0")
    with av.open(str(plain)) as file:
        width, height = file.streams.video[0].width, file.streams.video[0].height
        for packet in file.demux(video=0):
            if packet.size and packet.pts is not None:
                head = b"\x81" + struct.pack(">hB", round(packet.pts * packet.time_base * 1000), 0)
                before = b"" if packet.is_keyframe else element(0xFB, b"\xff")
                blocks += element(0xA0, element(0xA1, head + bytes(packet)) + addition + before)
    size = element(0xB0, bytes([width])) + element(0xBA, bytes([height]))
    mapping = element(0x41E4, element(0x41F0, b"\x04") + element(0x41E7, b"\x04"))
    names = element(0xD7, b"\1") + element(0x73C5, b"\1") + element(TRACK_TYPE, b"\1") + element(0x86, b"V_VP9")
    track = element(TRACK, names + element(0x55EE, b"\x04") + mapping + element(VIDEO, size))
    content = element(0x1549A966, b"") + element(TRACKS, track) + element(CLUSTER, blocks)
    path.write_bytes(element(0x1A45DFA3, element(0x4282, b"webm")) + element(SEGMENT, content))
    return path


def test_hdr10_plus_beside_the_pictures(tmp_path: Path) -> None:
    """HDR10+ that WebM keeps beside the pictures of VP9 is kept in Matroska; MP4 has no place for it: an error."""
    parts = []
    for number in range(2):
        plain = write_clip(tmp_path / f"p{number}.webm", VP9, start=6 * number, count=6)
        parts.append(StitchInput(with_hdr10_plus(plain, tmp_path / f"c{number}.webm"), 6, f"chunk {number}"))
    for output in (tmp_path / "video.webm", tmp_path / "video.mkv"):
        FfmpegStitcher().stitch(parts, output, fps=Fraction(30))
        with av.open(str(output)) as video:
            packets = [packet for packet in video.demux(video=0) if packet.size]
            assert all(packet.has_sidedata("dynamic_hdr10_plus") for packet in packets)
    with pytest.raises(RequestError, match=r"video.mp4 can't say .* dynamic HDR metadata .* \(HDR10\+\)"):
        FfmpegStitcher().stitch(parts, tmp_path / "video.mp4", fps=Fraction(30))


def test_dolby_vision_has_no_place_in_mov(tmp_path: Path) -> None:
    """FFmpeg writes no Dolby Vision into MOV: that is an error, and HDR10 alone is not."""
    inputs = make_chunks(tmp_path, HDR10, mastering() + LIGHT + dolby_vision())
    with pytest.raises(
        RequestError, match=r"video.mov can't say .*: dolby vision profile 8 level 6 \(\w+\) \(found: none"
    ):
        FfmpegStitcher().stitch(inputs, tmp_path / "video.mov", fps=Fraction(30))
    inputs = make_chunks(tmp_path, HDR10, mastering() + LIGHT)
    FfmpegStitcher().stitch(inputs, tmp_path / "video.mov", fps=Fraction(30))
    data = (tmp_path / "video.mov").read_bytes()
    assert mastering() in data
    assert LIGHT in data


@pytest.mark.parametrize("output", ["video.mp4", "video.webm"])
def test_hdr10_of_vp9(tmp_path: Path, output: str) -> None:
    """VP9 has no such facts of its own: the container alone has them."""
    inputs = make_chunks(tmp_path, VP9, mastering() + LIGHT)
    FfmpegStitcher().stitch(inputs, tmp_path / output, fps=Fraction(30))
    with ChunkFile(tmp_path / output, fps=Fraction(30), frames=12) as video:
        assert video.said.facts.light_level == (1000, 400)
        assert video.said.facts.mastering_display[8:] == pytest.approx((1000, 0.005), abs=1e-4)


@pytest.mark.parametrize(
    ("one", "two", "difference"),
    [
        (mastering(), mastering(4000), "mastering display"),
        (LIGHT, b"", r"light level \(0, 0\) instead of \(1000, 400\)"),
        (dolby_vision(), dolby_vision(9), "dolby vision profile 8 level 9 .* instead of profile 8 level 6"),
        (dolby_vision(), b"", "dolby vision none instead of"),
    ],
)
def test_chunks_of_other_hdr_are_refused(tmp_path: Path, one: bytes, two: bytes, difference: str) -> None:
    """A chunk that was graded for another display does not fit."""
    verified = []
    for number, more in enumerate((one, two)):
        path = write_clip(tmp_path / f"{number}.mp4", HDR10, start=0, count=6)
        put_in(path, more)
        verified.append(verify_output(path, frames=6, fps=Fraction(30), width=64, height=64))
    with pytest.raises(MisfitError, match=difference):
        verified[1].check_sibling(verified[0], name="chunk 1", other_name="chunk 0")
