"""The quantiser of each chunk, chosen by a quality."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.encode.analysis import analyse
from helios.encode.chunk import Range, encode_chunk
from helios.encode.plan import Frames, ranges
from helios.encode.program import carry_out, parser, range_of, sample_of
from helios.encode.quality import Chosen, choose_quantiser, quality_of
from helios.encode.recipe import Recipe
from helios.encode.target import MOST_PROBES, Search, Target
from helios.errors import RequestError
from helios.media.verify import verify_output
from helios.models.quality import ChunkQuality, quality_line, read_quality
from testbed.encodes import Film, encode, write_film

FAST = Recipe("x264", preset="ultrafast", target="xpsnr=38")
FILM = Film(frames=60, size=(160, 96))


@pytest.mark.parametrize("value", ["xpsnr", "xpsnr=", "xpsnr=0", "xpsnr=91", "psnr=40", "xpsnr=1e2", "vmaf=95"])
def test_what_is_no_target(value: str) -> None:
    """A target that is none is refused, and so is one of a filter that is not here."""
    with pytest.raises(RequestError, match="expected xpsnr=N"):
        Target.parse(value)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (replace(FAST, crf="20"), "--crf 20 says the quantiser already"),
        (replace(FAST, params="crf=20"), "crf in --params says the quantiser already"),
        (Recipe("prores", target="xpsnr=40"), "prores has no quantiser"),
        (Recipe("ffv1", target="xpsnr=40"), "ffv1 has no quantiser"),
        (Recipe("dnxhd", target="xpsnr=40"), "dnxhd has no quantiser"),
    ],
)
def test_what_contradicts_it(recipe: Recipe, told: str) -> None:
    """A target beside a quantiser, or for a codec without one, is refused."""
    with pytest.raises(RequestError, match=told):
        recipe.check()


@given(best=st.integers(0, 63), slope=st.floats(0.05, 4), bend=st.floats(0.2, 3), largest=st.sampled_from([51, 63]))
def test_the_largest_that_is_good_enough(best: int, slope: float, bend: float, largest: int) -> None:
    """Where scores fall the largest quantiser that is good enough is found; where none is, the smallest is taken."""

    def score(quantiser: int) -> float:
        apart = best - quantiser
        return 40 + (slope * apart if apart > 0 else slope * bend * apart) + (0 if apart >= 0 else -0.001)

    search = Search(40, 1, largest)
    assert search.find(score) == max(min(best, largest), 1)
    assert len(search.scores) <= MOST_PROBES


@given(best=st.integers(1, 51), slope=st.floats(0.2, 2), broken=st.sets(st.integers(1, 51)))
def test_probes_without_a_score(best: int, slope: float, broken: set[int]) -> None:
    """A quantiser whose probe failed is never taken; of the others the largest that is good enough, or the smallest."""
    search = Search(40, 1, 51)
    found = search.find(lambda quantiser: None if quantiser in broken else 40 + (best - quantiser) * slope)
    assert len(search.scores) <= MOST_PROBES
    scores = {quantiser: score for quantiser, score in search.scores.items() if score is not None}
    assert search.failed == len(search.scores) - len(scores)
    good = [quantiser for quantiser, score in scores.items() if score >= 40]
    assert found == (max(good) if good else min(scores, default=None))


def _first_chunk(tmp_path: Path, recipe: Recipe, *, cut: str = "scenes") -> tuple[Path, list[str]]:
    """A source, and the words of its first chunk's command."""
    source = write_film(tmp_path / "film.mkv", FILM)
    spec, _, _ = encode(source, tmp_path / "out.mkv", recipe=replace(recipe, target=None, crf="51"), cut=cut)
    words = shlex.split(spec.chunks[0].command)[1:]
    return source, [word for word in words if not word.startswith("--crf")]


def _chosen(source: Path, sample: Range, recipe: Recipe) -> tuple[Chosen, dict[int, float | None]]:
    tried: dict[int, float | None] = {}
    chosen = choose_quantiser(source, sample=sample, recipe=recipe, suffix=".mp4", on_probe=tried.__setitem__)
    return chosen, tried


def test_each_target_has_its_own_quantiser(tmp_path: Path) -> None:
    """A higher target has a smaller quantiser; each is good enough, and the next that was tried is not."""
    source, words = _first_chunk(tmp_path, FAST)
    part, found = range_of(parser().parse_args(words)), []
    for target in (32, 38, 44):
        chosen, tried = _chosen(source, part, replace(FAST, target=f"xpsnr={target}"))
        crf = int(chosen.recipe.crf or 0)
        assert (tried[crf] or 0) >= target
        assert all((score or 0) < target for other, score in tried.items() if other > crf)
        encode_chunk(source, tmp_path / "chunk.mp4", part=part, recipe=chosen.recipe)
        quality = quality_of(source, tmp_path / "chunk.mp4", part=part, chosen=chosen)
        assert quality.score == pytest.approx(tried[crf], abs=0.3)  # x264 on several threads differs a little
        found.append(crf)
    assert found == sorted(set(found), reverse=True)


def test_the_sample(tmp_path: Path) -> None:
    """The quantiser of a long chunk is tried on two seconds from its middle."""
    source = write_film(tmp_path / "film.mkv", replace(FILM, frames=90))
    spec, _, _ = encode(source, tmp_path / "out.mkv", recipe=FAST, cut="100")
    words = parser().parse_args(shlex.split(spec.chunks[0].command)[1:])
    sample = sample_of(words)
    assert (words.target, sample.frames, range_of(words).frames) == ("xpsnr=38", 48, 90)
    assert sample.first == 700  # ms of frame 21
    chosen, _ = _chosen(source, sample, FAST)
    assert chosen.recipe.crf is not None


def test_probes_that_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chunk whose probes fail is encoded with the encoder's default, and has its score."""
    source, words = _first_chunk(tmp_path, FAST, cut="1")
    words[0:2] = str(source), str(tmp_path / "chunk.mp4")
    carry_out(parser().parse_args([*words, "--target=xpsnr=38", "--sample=12345:20:12345:20"]))
    printed = capsys.readouterr().out
    assert printed.count(": failed\n") == 5
    quality = read_quality(printed)
    assert quality is not None
    assert (quality.crf, quality.probes, quality.failed_probes) == (None, 5, 5)
    assert 20 < quality.score < 100


@pytest.mark.parametrize("recipe", [
    FAST, Recipe("x265", preset="ultrafast", target="xpsnr=38"), Recipe("svt-av1", preset="10", target="xpsnr=38"),
    Recipe("vp9", preset="8", target="xpsnr=38"),
], ids=lambda recipe: recipe.codec)  # fmt: skip
def test_chunks_of_different_quantisers_fit(tmp_path: Path, recipe: Recipe) -> None:
    """Chunks whose quantisers differ can be joined."""
    source = write_film(tmp_path / "film.mkv", FILM)
    part, _ = ranges(Frames(analyse(source, with_scenes=False)), [30, 30], run_in=False)
    found = []
    for number, crf in enumerate(("14", "47")):
        output = tmp_path / f"{number}{recipe.how.suffix}"
        encode_chunk(source, output, part=part, recipe=replace(recipe, crf=crf))
        found.append(verify_output(output, frames=30, fps=part.rate, width=160, height=96))
    found[1].check_sibling(found[0], name="the second", other_name="the first")
    assert found[0].bytes > found[1].bytes


def test_the_line() -> None:
    """What a command says of its chunk is read from its last such line; other lines are none."""
    quality = ChunkQuality(metric="xpsnr", target=40, score=40.5, crf="23", probes=4)
    assert read_quality(f"frame=1 of 1\n{quality_line(quality)}\nmore\n") == quality
    for other in ("", "helios-quality", "helios-quality {", 'helios-quality {"metric": 1}'):
        assert read_quality(other) is None


@pytest.mark.parametrize("recipe", [
    Recipe("svt-av1", preset="12", crf="1"), Recipe("svt-av1", preset="11", crf="5"),
    Recipe("svt-av1", preset="4", params="preset=13:crf=2"),
])  # fmt: skip
def test_a_setting_with_which_the_encoder_is_broken(recipe: Recipe) -> None:
    """Presets of SVT-AV1 with quantisers at which it writes what can't be decoded are refused, and say what to take."""
    with pytest.raises(RequestError, match="can't be decoded .* expected --crf 6 or more, or --preset 10"):
        recipe.check()
    replace(recipe, preset="10", params=None).check()
    replace(recipe, crf="6", params=None).check()
    assert replace(recipe, crf=None, params=None, preset="12").quantisers == (6, 63)
