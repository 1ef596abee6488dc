"""The encoder of a chunk begins before it, where its first key frame would else be another one than in one piece."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from helios.encode.chunk import Range, encode_chunk
from helios.encode.recipe import Recipe
from testbed.encodes import Film, encode, write_film
from testbed.video import read_numbers

FILM = Film(frames=60, size=(192, 128), scene_frames=30)
X264 = Recipe("x264", crf="23", threads=1)
SECOND = Range(first=30_000, frames=30, rate=Fraction(30))
"""The second scene, in the ticks of an MP4 file of 30 fps."""
SETTINGS = b"x264 - core"


def _packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as video:
        return [bytes(packet) for packet in video.demux(video=0) if packet.size]


def _in_one(source: Path, output: Path) -> list[bytes]:
    """Packets of an encode in one go with a key frame where the second scene begins."""
    options = X264.options(pixel_format="yuv420p")
    with av.open(str(source)) as file, av.open(str(output), "w") as written:
        video = written.add_stream("libx264", rate=30, options=options)
        assert isinstance(video, VideoStream)
        (video.width, video.height), video.pix_fmt = FILM.size, "yuv420p"
        video.codec_context.thread_count = 1
        for number, frame in enumerate(file.decode(video=0)):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 30), int(number == 30)
            written.mux(video.encode(frame))
        written.mux(video.encode(None))
    return _packets(output)


def test_the_first_key_frame(tmp_path: Path) -> None:
    """With a lead-in a chunk's key frame is about as large as in one piece; without, it is not."""
    source = write_film(tmp_path / "film.mp4", FILM)
    wanted = len(_in_one(source, tmp_path / "one.mp4")[30])
    off = {}
    for lead_in in (0, 16):
        part, place = replace(SECOND, first=_tick_of(source, 30), lead_in=lead_in), tmp_path / f"{lead_in}.mp4"
        encode_chunk(source, place, part=part, recipe=X264)
        key = _packets(place)[0]
        settings = key.index(SETTINGS) + int.from_bytes(key[:4], "big") if SETTINGS in key else 0
        off[lead_in] = abs(len(key) - settings - wanted) / wanted
        assert len(_packets(place)) == 30
    assert off[16] < off[0] / 4, off


def _tick_of(source: Path, number: int) -> int:
    with av.open(str(source)) as video:
        return [frame.pts or 0 for frame in video.decode(video=0)][number]


def test_chunks_are_joined(tmp_path: Path) -> None:
    """The joined video has each frame once, and the encoder's words about its settings once."""
    source = write_film(tmp_path / "film.mp4", FILM)
    spec, _, _ = encode(source, tmp_path / "out.mp4", recipe=X264, cut="0.5")
    assert ["--lead-in=16" in chunk.command for chunk in spec.chunks] == [False, True, True, True]
    assert read_numbers(tmp_path / "out.mp4") == list(range(60))
    assert [SETTINGS in packet for packet in _packets(tmp_path / "out.mp4")].count(True) == 1
    with av.open(str(tmp_path / "out.mp4")) as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx([number / 30 for number in range(60)])


@pytest.mark.parametrize("params", ["intra-refresh=1", "bframes=0", "keyint=infinite:scenecut=0", "keyint=1", "qp=0"])
def test_settings_that_move_key_frames(tmp_path: Path, params: str) -> None:
    """A chunk begins with a key frame, and has its own frames alone, whatever the encoder is told about those."""
    source = write_film(tmp_path / "film.mp4", FILM)
    recipe = replace(X264, params=params, crf=None if "qp" in params else "23")
    encode(source, tmp_path / "out.mkv", recipe=recipe, cut="0.5")
    assert read_numbers(tmp_path / "out.mkv") == list(range(60))


def test_fields(tmp_path: Path) -> None:
    """Interlaced pictures have a lead-in, too, and stay so."""
    interlaced = (("x264-params", "keyint=16:tff=1"), ("flags", "+ildct+ilme"))
    source = write_film(tmp_path / "film.mkv", replace(FILM, options=interlaced))
    encode(source, tmp_path / "out.mkv", recipe=X264, cut="0.5")
    assert read_numbers(tmp_path / "out.mkv") == list(range(60))
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert all(frame.interlaced_frame for frame in video.decode(video=0))
