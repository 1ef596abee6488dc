"""An encode has exactly its source's frames, in their order, at their times."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from helios.encode.recipe import Recipe
from testbed.encodes import Film, decoded, encode, write_film
from testbed.video import read_numbers

UNEVEN = tuple(1500 + 750 * (number * number % 7) for number in range(60))
"""Ticks of 1/90000 s: frames of 17 to 67 ms."""
X265 = (("x265-params", "keyint=16:bframes=3:open-gop=1:scenecut=0:log-level=error"),)
SOURCES = {
    "23.976.mkv": Film(fps=Fraction(24000, 1001)),
    "25.mp4": Film(fps=Fraction(25)),
    "29.97.ts": Film(fps=Fraction(30000, 1001)),
    "59.94.mov": Film(fps=Fraction(60000, 1001), frames=120),
    "late.mp4": Film(start=Fraction(2)),
    "late.mkv": Film(start=Fraction(3, 2)),
    "hevc.mp4": Film(codec="libx265", options=X265),
    "hevc.ts": Film(codec="libx265", options=X265, fps=Fraction(25)),
    "intra.mkv": Film(codec="mjpeg", options=(), pixel_format="yuvj420p"),
    "vp9.webm": Film(codec="libvpx-vp9", options=(("deadline", "realtime"), ("g", "20"))),
    "mpeg4.avi": Film(codec="mpeg4", options=(("bf", "2"), ("g", "12"), ("q", "2"))),
    "mpeg2.ts": Film(codec="mpeg2video", options=(("bf", "2"), ("g", "12"), ("b", "2000000")), fps=Fraction(25)),
}
VARIABLE = {
    "vfr.mp4": Film(steps=UNEVEN),
    "vfr.mkv": Film(steps=UNEVEN),
    "vfr.ts": Film(steps=UNEVEN),
    "gap.mp4": Film(steps=[3000] * 20 + [9000] + [3000] * 39),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("cut", ["scenes", "0.4"])
def test_a_constant_rate(tmp_path: Path, name: str, cut: str) -> None:
    """Every picture of a source of constant rate is there once, whole, at its number's time."""
    source = write_film(tmp_path / name, SOURCES[name])
    spec, report, _ = encode(source, tmp_path / "out.mkv", cut=cut)
    assert spec.metadata.fps == SOURCES[name].fps
    if cut != "scenes":  # numbers in the pictures change them more than the scenes do
        assert len(spec.chunks) > 2
    assert report.frames == SOURCES[name].frames
    wanted, found = decoded(source), decoded(tmp_path / "out.mkv")
    assert [digest for _, digest in found] == [digest for _, digest in wanted]
    # Matroska has whole milliseconds.
    assert all(abs(time - n / spec.metadata.fps) <= Fraction(1, 1000) for n, (time, _) in enumerate(found))


@pytest.mark.parametrize("name", VARIABLE)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_that_are_not_constant(tmp_path: Path, name: str, suffix: str) -> None:
    """Where a source has no constant rate each frame keeps its own time: in MP4 to the tick, in Matroska to 1 ms."""
    source = write_film(tmp_path / name, VARIABLE[name])
    recipe = Recipe(codec="x264", crf="0", params="qp=0") if suffix == ".mp4" else Recipe(codec="ffv1")
    spec, report, lines = encode(source, tmp_path / f"out{suffix}", recipe=recipe)
    assert spec.source is not None and spec.source.times is not None  # noqa: PT018
    assert "each frame keeps its time" in "\n".join(lines)
    wanted, found = decoded(source), decoded(tmp_path / f"out{suffix}")
    assert [digest for _, digest in found] == [digest for _, digest in wanted]
    coarse = Fraction(1, 1000) if suffix == ".mkv" else 0
    assert all(abs(mine - its) <= coarse for (mine, _), (its, _) in zip(found, wanted, strict=True))
    assert report.duration_seconds == pytest.approx(float(sum(spec.source.times.steps) * spec.source.times.tick))


def test_an_edit_list(tmp_path: Path) -> None:
    """Pictures that an edit list hides are not encoded."""
    source = write_film(tmp_path / "whole.mp4", Film())
    cut = tmp_path / "cut.mp4"
    with av.open(str(source)) as whole, av.open(str(cut), "w") as output:
        stream = whole.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for packet in whole.demux(stream):
            if packet.size:
                shift = round(Fraction(1, 3) / packet.time_base)  # into a group of pictures, so that an edit list hides
                packet.pts, packet.dts, packet.stream = (packet.pts or 0) - shift, (packet.dts or 0) - shift, copy
                output.mux(packet)
    numbers = read_numbers(cut)
    assert 0 < len(numbers) < 60
    encode(cut, tmp_path / "out.mkv", cut="0.4")
    assert read_numbers(tmp_path / "out.mkv") == numbers
    assert [digest for _, digest in decoded(tmp_path / "out.mkv")] == [digest for _, digest in decoded(cut)]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(60), Fraction(24000, 1001)])
@pytest.mark.parametrize("film", [Film(), Film(steps=UNEVEN)], ids=["constant", "variable"])
def test_another_rate(tmp_path: Path, film: Film, rate: Fraction) -> None:
    """With --fps each frame shows the picture that is due at its time, whatever chunk it is in."""
    source = write_film(tmp_path / "film.mp4", film)
    spec, _, _ = encode(source, tmp_path / "out.mkv", fps=rate, cut="0.4")
    assert spec.metadata.fps == rate
    times = [time for time, _ in decoded(source)]
    shown = read_numbers(tmp_path / "out.mkv")
    due = [max(n for n, time in enumerate(times) if round(time * rate) <= frame) for frame in range(len(shown))]
    assert shown == due
    length = times[-1] + (times[-1] - times[-2])
    assert abs(len(shown) / rate - length) < Fraction(1, 20)


def test_keyframes(tmp_path: Path) -> None:
    """Cut at its key frames, a source's pictures are all there."""
    source = write_film(tmp_path / "film.mkv", Film())
    spec, _, _ = encode(source, tmp_path / "out.mkv", cut="keyframes")
    assert [chunk.start_frame for chunk in spec.chunks] == [0, 16, 32, 48]
    assert decoded(tmp_path / "out.mkv")[-1][1] == decoded(source)[-1][1]
    assert read_numbers(tmp_path / "out.mkv") == list(range(60))


def test_filters_see_the_pictures_before(tmp_path: Path) -> None:
    """A filter that looks at pictures before gives the same at a chunk's first frames as in one piece."""
    source = write_film(tmp_path / "film.mp4", replace(Film(), frames=40))
    recipe = Recipe(codec="ffv1", vf="bwdif=0,scale=48:-2")
    encode(source, tmp_path / "chunks.mkv", recipe=recipe, cut="0.4")
    encode(source, tmp_path / "whole.mkv", recipe=recipe, cut="100")
    assert decoded(tmp_path / "chunks.mkv") == decoded(tmp_path / "whole.mkv")
