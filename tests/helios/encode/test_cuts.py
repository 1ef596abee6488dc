"""Where a video is cut, which rate its times have, and how an analysis is kept."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.encode.analysis import Analysis
from helios.encode.cuts import Lengths, bounded_cuts
from helios.encode.kept_analysis import FILE, analysed
from helios.encode.rates import constant_rate
from helios.encode.sampling import Sampling
from helios.errors import RequestError
from testbed.encodes import Film, write_film

RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60, Fraction(25, 2)]


@given(
    cuts=st.lists(st.integers(1, 5000), max_size=60).map(sorted),
    frames=st.integers(1, 5000),
    shortest=st.integers(1, 200),
    more=st.integers(0, 300),
)
def test_chunks_are_within_their_bounds(cuts: list[int], frames: int, shortest: int, more: int) -> None:
    """Chunks cover the video, and none is too long or, in a video that is long enough, too short."""
    lengths = Lengths(shortest=shortest, longest=2 * shortest + more)
    sizes = bounded_cuts([cut for cut in cuts if cut < frames], frames=frames, lengths=lengths)
    assert sum(sizes) == frames
    assert max(sizes) <= lengths.longest
    assert min(sizes) >= min(shortest, frames)


def test_contradicting_bounds() -> None:
    """A longest chunk that can't be cut in two is refused."""
    with pytest.raises(RequestError, match="at least twice the shortest"):
        Lengths(shortest=10, longest=19)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tick", [Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 15_360)])
def test_a_constant_rate_is_found(rate: Fraction, tick: Fraction) -> None:
    """A rate is found through the rounding of containers without being stated; one late frame speaks against it."""
    times = [round(number / rate / tick) for number in range(3000)]
    assert constant_rate(times, tick=tick, stated=[]) == rate
    late = [*times[:1000], *(one + round(1 / rate / tick) for one in times[1000:])]
    assert constant_rate(late, tick=tick, stated=[Fraction(rate)]) is None


@given(
    steps=st.lists(st.integers(1, 9000), min_size=2, max_size=80), rate=st.sampled_from([24, 30, 60]), data=st.data()
)
def test_sampling_is_the_same_in_each_chunk(steps: list[int], rate: int, data: st.DataObject) -> None:
    """A chunk that begins anywhere shows the pictures that the plan says."""
    times = [100 + sum(steps[:number]) for number in range(len(steps))]
    sampling = Sampling(Fraction(rate), times[0], Fraction(1, 90_000))
    shown = sampling.plan(times, end=times[-1] + steps[-1])
    first = data.draw(st.integers(0, len(shown) - 1))
    pictures = (_Picture(ticks) for ticks in times if ticks >= times[shown[first]])
    found = [picture.pts for picture, _ in zip(sampling.sample(pictures, first=first), shown[first:], strict=False)]
    assert found == [times[number] for number in shown[first:]]


class _Picture:
    def __init__(self, pts: int) -> None:
        self.pts: int | None = pts


def test_an_analysis_is_kept(tmp_path: Path) -> None:
    """A source is read again when it changed, or when scenes are needed that were not looked for."""
    source, seen = write_film(tmp_path / "film.mkv", Film(frames=20)), []

    def look(with_scenes: bool) -> Analysis:
        return analysed(source, job_dir=tmp_path, with_scenes=with_scenes, on_picture=lambda n, _: seen.append(n))

    first = look(False)
    assert (first.frames, first.scenes, len(seen)) == (20, None, 20)
    assert look(False) == first
    assert len(seen) == 20
    assert look(True).scenes is not None
    assert look(False).scenes is not None
    assert len(seen) == 40
    write_film(source, Film(frames=30))
    assert look(False).frames == 30
    (tmp_path / FILE).write_text("{")
    assert look(False).frames == 30
