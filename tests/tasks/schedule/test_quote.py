"""What a job takes, by a sample of its chunks."""

import random
from statistics import mean

import pytest

from tasks.schedule.expectation import Piece
from tasks.schedule.quote import COVERED, Sampled, choose_sample, quote, rendering_seconds

PIECES = [Piece(number, 30) for number in range(100)]


def test_the_sample() -> None:
    """It has the first chunk, the middle one and a drawn one; the same seed draws the same, others draw others."""
    ids = [10 * number for number in range(50)]
    drawn = {seed: choose_sample(ids, seed=seed) for seed in range(20)}
    assert all(sample == sorted(set(sample)) and {0, 250} < set(sample) <= set(ids) for sample in drawn.values())
    assert drawn[7] == choose_sample(ids, seed=7)
    assert len({tuple(sample) for sample in drawn.values()}) > 10
    assert choose_sample([4, 5], seed=1) == [4, 5]


@pytest.mark.parametrize(("slots", "seconds"), [(1, 300.0), (10, 30.0), (33, 12.0), (100, 3.0), (1000, 3.0)])
def test_alike(slots: int, seconds: float) -> None:
    """Chunks that are all alike take as long as their number over the slots, and the price is that of all."""
    found = quote(PIECES, [Sampled(30, 3.0, 0.5)] * 3, slots=slots)
    for one, expected in ((found.seconds, seconds), (found.cost, 50.0)):
        assert (one.low, one.middle, one.high) == pytest.approx((expected,) * 3)


def test_a_sample_of_everything_is_certain() -> None:
    """Of a job of three chunks all are rendered, and nothing is uncertain."""
    found = quote(PIECES[:3], [Sampled(30, 1.0, 1.0), Sampled(30, 2.0, 2.0), Sampled(30, 6.0, 6.0)], slots=1)
    assert (found.cost.low, found.cost.middle, found.cost.high) == pytest.approx((9, 9, 9))


def test_the_range_holds_what_it_promises() -> None:
    """Of 1,000 drawn jobs with a coefficient of variation of 0.2, the range holds the price of nine in ten."""
    draw, held = random.Random(4), 0  # noqa: S311  a drawn world
    for _ in range(1000):
        costs = [max(0.1, draw.gauss(1.0, 0.2)) for _ in PIECES]
        sample = [Sampled(30, costs[number], costs[number]) for number in draw.sample(range(100), 3)]
        found = quote(PIECES, sample, slots=4).cost
        held += found.low <= sum(costs) <= found.high
    assert abs(held / 1000 - COVERED) < 0.04


def test_uneven_chunks() -> None:
    """A long last chunk is in the time, as a free slot would take it."""
    pieces = [*PIECES[:10], Piece(10, 300)]
    assert rendering_seconds(pieces, 0.1, slots=5) == pytest.approx(36)
    assert mean(piece.frames for piece in pieces) < 60
