"""Sound, subtitles, chapters, attachments and tags of a source are in its encode, in sync."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helios.encode.recipe import Recipe
from testbed.encodes import Film, encode, write_film
from testbed.video import read_sound, tone

FAST = Recipe("x264", preset="ultrafast")
UNEVEN = tuple(1500 + 750 * (number * number % 7) for number in range(60))
RATE = 48_000


PERIOD = RATE / 440


def apart(one: int, two: int) -> float:
    """Samples between two places of a sine, which shows them within a period of 109 samples."""
    return min((one - two) % PERIOD, (two - one) % PERIOD)


def sound_begins(path: Path) -> int:
    """The sample, counted from the first picture, at which a video's sine has its beginning, within a period."""
    with av.open(str(path)) as video:
        pictures = next(video.decode(video=0))
        first = (pictures.pts or 0) * (pictures.time_base or 1)
    with av.open(str(path)) as video:
        track = video.streams.audio[0]
        frame = next(iter(video.decode(audio=0)))
        begin = round(((frame.pts or 0) * (track.time_base or 1) - first) * RATE)
    heard = read_sound(path, rate=RATE)[4096 : 4096 + 4096]
    wanted = tone(0, 20_000, rate=RATE)[0] / 32768
    lags = range(4096 - 60, 4096 + 60)
    best = max(lags, key=lambda lag: float(np.dot(heard, wanted[lag : lag + 4096])))
    return begin + 4096 - best


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["aac", "flac", "libopus"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(2)])
def test_copied_sound(tmp_path: Path, codec: str, suffix: str, start: Fraction) -> None:
    """Copied sound has the source's packets, and lies where it lay beside the pictures."""
    film = Film(sound=(codec,), start=start)
    source = write_film(tmp_path / f"film{suffix}", film)
    _, report, lines = encode(source, tmp_path / f"out{suffix}", recipe=FAST)
    assert report.audio_codec == codec.removeprefix("lib")
    assert any("sound 1" in line and line.endswith("copied") for line in lines)
    coarse = 48 if suffix == ".mkv" else 1
    assert apart(sound_begins(tmp_path / f"out{suffix}"), sound_begins(source)) <= coarse
    with av.open(str(source)) as one, av.open(str(tmp_path / f"out{suffix}")) as two:
        wanted = [bytes(packet) for packet in one.demux(audio=0) if packet.size]
        found = [bytes(packet) for packet in two.demux(audio=0) if packet.size]
        assert found == wanted[: len(found)]
        assert len(wanted) - len(found) <= 1  # one that begins where the pictures end


@pytest.mark.parametrize("steps", [None, UNEVEN], ids=["constant", "variable"])
@pytest.mark.parametrize("sound", ["aac", "opus", "flac"])
def test_encoded_sound(tmp_path: Path, sound: str, steps: tuple[int, ...] | None) -> None:
    """Sound that is encoded anew lies where it lay, also beside pictures of no constant rate."""
    source = write_film(tmp_path / "film.mov", Film(sound=("pcm_s16le",), steps=steps, start=Fraction(1)))
    _, report, _ = encode(source, tmp_path / "out.mp4", recipe=FAST, sound=sound)
    assert report.audio_codec == sound
    assert apart(sound_begins(tmp_path / "out.mp4"), sound_begins(source)) <= 1


def test_several_tracks_and_none(tmp_path: Path) -> None:
    """Every sound track is there with its language; --audio none leaves all out; a silent source stays silent."""
    source = write_film(tmp_path / "film.mkv", Film(sound=("aac", "flac")))
    encode(source, tmp_path / "out.mkv", recipe=FAST)
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert [one.codec_context.name for one in video.streams.audio] == ["aac", "flac"]
        assert [one.metadata["language"] for one in video.streams.audio] == ["deu", "deu"]
    encode(source, tmp_path / "none.mkv", recipe=FAST, sound="none")
    encode(write_film(tmp_path / "silent.mkv", Film()), tmp_path / "silent-out.mkv", recipe=FAST)
    for name in ("none.mkv", "silent-out.mkv"):
        with av.open(str(tmp_path / name)) as video:
            assert not video.streams.audio


def test_sound_that_begins_before_the_pictures(tmp_path: Path) -> None:
    """Sound before the first picture is cut, and the rest stays in sync."""
    early = write_film(tmp_path / "early.mov", Film(sound=("pcm_s16le",)))
    source = tmp_path / "film.mkv"
    with av.open(str(early)) as whole, av.open(str(source), "w") as output:
        copies = {one.index: output.add_stream_from_template(one) for one in whole.streams}
        for packet in whole.demux():
            if packet.size:
                if packet.stream.type == "video":  # half a second later than the sound
                    shift = round(Fraction(1, 2) / packet.time_base)
                    packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    encode(source, tmp_path / "out.mp4", recipe=FAST, sound="flac")
    heard = read_sound(tmp_path / "out.mp4", rate=RATE)[:2000]
    wanted = tone(RATE // 2, 4000, rate=RATE)[0] / 32768
    best = max(range(200), key=lambda lag: float(np.dot(heard, wanted[lag : lag + 2000])))
    assert min(best % 109, 109 - best % 109) <= 48  # the source's milliseconds


def test_everything_else(tmp_path: Path) -> None:
    """Subtitles, chapters, an attachment and tags of a Matroska file are in the encode; the table says so."""
    film = Film(frames=90, chapters=((0.0, "One"), (1.5, "Two")), tags=(("title", "A film"), ("artist", "Someone")))
    plain = write_film(tmp_path / "plain.mkv", film)
    source = with_subtitles(plain, tmp_path / "film.mkv")
    _, report, lines = encode(source, tmp_path / "out.mkv", recipe=FAST)
    assert not report.warnings
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert [chapter["metadata"]["title"] for chapter in video.chapters()] == ["One", "Two"]
        assert (video.metadata["title"], video.metadata["ARTIST"]) == ("A film", "Someone")
        attached = [one for one in video.streams if one.type == "attachment"]
        assert [(one.metadata["filename"], bytes(one.data)) for one in attached] == [("font.ttf", b"glyphs")]  # type: ignore[attr-defined]
        words = [(packet.pts, packet.duration, bytes(packet)) for packet in video.demux(subtitles=0) if packet.size]
    assert words == [(500, 700, b"Hello"), (2000, 600, b"Good bye")]
    assert sum(line.endswith("→ copied") for line in lines) == 4
    _, report, lines = encode(source, tmp_path / "out.mp4", recipe=FAST)
    assert any("subrip" in line and "left out: mp4 has no place for it" in line for line in lines)
    assert any("subtitles (subrip)" in warning and "font.ttf" in warning for warning in report.warnings)


def test_chapters_of_a_late_source(tmp_path: Path) -> None:
    """Chapters of a source that begins late lie where they lay beside the pictures."""
    film = replace(Film(frames=90, start=Fraction(1)), chapters=((1.0, "One"), (2.5, "Two")))
    source = write_film(tmp_path / "film.mkv", film)
    encode(source, tmp_path / "out.mkv", recipe=FAST)
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert [round(chapter["start"] * (chapter["time_base"] or 1), 3) for chapter in video.chapters()] == [0, 1.5]


def with_subtitles(plain: Path, path: Path) -> Path:
    """A Matroska file with subtitles and a font."""
    lines = "1\n00:00:00,500 --> 00:00:01,200\nHello\n\n2\n00:00:02,000 --> 00:00:02,600\nGood bye\n"
    path.with_suffix(".srt").write_text(lines)
    with (
        av.open(str(plain)) as film,
        av.open(str(path.with_suffix(".srt"))) as words,
        av.open(str(path), "w") as output,
    ):
        output.metadata.update(film.metadata)
        output.set_chapters(film.chapters())
        pictures = output.add_stream_from_template(film.streams.video[0])
        subtitles = output.add_stream_from_template(words.streams.subtitles[0])
        output.add_attachment("font.ttf", "font/ttf", b"glyphs")
        for source, copy in ((film, pictures), (words, subtitles)):
            for packet in source.demux():
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    return path
