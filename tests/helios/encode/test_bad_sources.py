"""Sources and settings that can't be encoded: one clear error, before anything is rendered."""

from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import pytest

from helios.encode.analysis import analyse
from helios.encode.cutting import Cutting
from helios.encode.recipe import Recipe
from helios.errors import RequestError
from testbed.encodes import Film, encode, write_film
from testbed.video import damage, write_tone

FAST = Recipe("x264", preset="ultrafast")


@pytest.mark.parametrize("cut", ["scenes", "keyframes"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_truncated(tmp_path: Path, suffix: str, cut: str) -> None:
    """A file that ends before the end that it states is refused."""
    options = {"container_options": {"movflags": "faststart"}} if suffix == ".mp4" else {}
    whole = write_film(tmp_path / f"whole{suffix}", Film(frames=300, sound=("aac",)), **options)
    source = tmp_path / f"film{suffix}"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(RequestError, match="truncated|damaged"):
        encode(source, tmp_path / "out.mkv", recipe=FAST, cut=cut)
    assert not list(tmp_path.glob("*.encode/chunks/*"))


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    """A file that was cut off before its index is no video."""
    whole = write_film(tmp_path / "whole.mp4", Film())
    (tmp_path / "film.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(RequestError, match="film.mp4 can't be read as a video"):
        encode(tmp_path / "film.mp4", tmp_path / "out.mkv", recipe=FAST)


def test_no_video(tmp_path: Path) -> None:
    """A sound file, a text and a missing file are told apart."""
    write_tone(tmp_path / "tone.wav", seconds=1)
    (tmp_path / "text.mkv").write_text("not a video")
    for name, words in (("tone.wav", "has no video"), ("text.mkv", "can't be read"), ("none.mkv", "is not a file")):
        with pytest.raises(RequestError, match=words):
            encode(tmp_path / name, tmp_path / "out.mkv", recipe=FAST)


def test_encrypted(tmp_path: Path) -> None:
    """An encrypted track is named as such."""
    source = write_film(tmp_path / "film.mp4", Film(frames=10))
    data = bytearray(source.read_bytes())
    # The sample entry avc1 becomes encv, as of an encrypted track (ISO 14496-12, section 8.12).
    entry = data.index(b"avc1", data.index(b"stsd"))
    data[entry : entry + 4] = b"encv"
    source.write_bytes(data)
    with pytest.raises(RequestError, match="encrypted"):
        encode(source, tmp_path / "out.mkv", recipe=FAST)


@pytest.mark.parametrize("cut", ["scenes", "keyframes"])
def test_another_size_in_the_middle(tmp_path: Path, cut: str) -> None:
    """Pictures that change their size are refused, with the place."""
    small = write_film(tmp_path / "small.ts", Film(frames=40))
    large = write_film(tmp_path / "large.ts", Film(frames=40, size=(128, 64), start=Fraction(2)))
    source = tmp_path / "film.ts"
    with av.open(str(small)) as one, av.open(str(large)) as two, av.open(str(source), "w") as output:
        copy = output.add_stream_from_template(one.streams.video[0])
        for packet in chain(one.demux(video=0), two.demux(video=0)):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    with pytest.raises(RequestError, match="change from 64×64 yuv420p to 128×64"):
        encode(source, tmp_path / "out.mkv", recipe=FAST, cut=cut)


def test_another_rate_in_the_middle(tmp_path: Path) -> None:
    """A source whose rate changes has no constant one, and keeps its frames' times."""
    source = write_film(tmp_path / "film.mkv", Film(steps=[3000] * 30 + [3600] * 30))
    assert analyse(source, with_scenes=False).rate is None


def test_damaged(tmp_path: Path) -> None:
    """A picture that can't be decoded is named."""
    source = write_film(tmp_path / "film.mkv", Film(size=(256, 256)))
    damage(source, 30)
    with pytest.raises(RequestError, match="damaged"):
        encode(source, tmp_path / "out.mkv", recipe=FAST)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("h265"), "codec 'h265' is not known.*x265"),
        (Recipe("prores", crf="20"), "prores has no crf"),
        (Recipe("x264", params="bframes"), "name=value"),
        (Recipe("x264", vf="nosuch=1"), "filter 'nosuch' is not known"),
        (Recipe("x264", vf="crop=4000:4000"), "filters 'crop=4000:4000' can't be used on 64×64"),
        (Recipe("x264", vf="bwdif"), "at other times than those that they get"),
        (Recipe("x264", pix_fmt="rgb24"), "does not take rgb24"),
        (Recipe("x264", preset="warp"), "x264 refuses"),
        (Recipe("x264", params="aq-mdoe=1"), "libx264 does not take the settings 'aq-mdoe=1'"),
        (Recipe("x264", params="b-adapt=2:aq-mode=high"), "Error parsing option 'aq-mode = high'"),
        (Recipe("x265", params="aq-mdoe=1"), "Unknown option: aq-mdoe"),
        (Recipe("svt-av1", params="film-grian=8", preset="12"), "Error parsing option film-grian"),
        (Recipe("vp9", params="auto-alt-rfe=1"), "Unknown option: auto-alt-rfe; .* that FFmpeg has for it"),
    ],
)  # fmt: skip
def test_settings(tmp_path: Path, recipe: Recipe, words: str) -> None:
    """Settings that no picture can be encoded with are refused by name."""
    source = write_film(tmp_path / "film.mkv", Film(frames=10))
    with pytest.raises(RequestError, match=words):
        encode(source, tmp_path / "out.mkv", recipe=recipe)


def test_how_it_is_cut() -> None:
    """A way to cut that is none, and bounds that contradict each other, are refused."""
    with pytest.raises(RequestError, match="expected scenes, keyframes, or a number of seconds"):
        Cutting("minutes")


def test_codec_and_container(tmp_path: Path) -> None:
    """A codec that the video's container has no place for is refused before the source is looked at."""
    with pytest.raises(RequestError, match="no place for h264.*\\.mkv"):
        encode(tmp_path / "none.mkv", tmp_path / "out.webm", recipe=FAST)
