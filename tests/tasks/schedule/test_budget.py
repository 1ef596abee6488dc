"""What a run may start by what it has spent, and where."""

import pytest

from tasks.schedule.budget import (
    Allowance,
    allowance,
    allowed_places,
    enough_to_finish,
    may_start,
    rounded_up,
)

PLACES = {"local": 0.0, "farm": 0.0, "lambda": 2.0}


@pytest.mark.parametrize(
    ("spent", "budget", "expected"),
    [
        (0.0, 10.0, Allowance.ALL),
        (8.99, 10.0, Allowance.ALL),
        (9.0, 10.0, Allowance.CHEAPEST),
        (9.99, 10.0, Allowance.CHEAPEST),
        (10.0, 10.0, Allowance.NOTHING),
        (12.0, 10.0, Allowance.NOTHING),
        (1e9, None, Allowance.ALL),
    ],
)
def test_allowance(spent: float, budget: float | None, expected: Allowance) -> None:
    """At nine tenths only what is needed starts, at the whole budget nothing; without a budget everything."""
    assert allowance(spent, budget) is expected


def test_what_runs_is_counted_before_it_has_cost_anything() -> None:
    """What attempts that run now are expected to cost is not there for others."""
    assert may_start(spent=4.0, promised=0.9, budget=5.0)
    assert not may_start(spent=4.0, promised=1.0, budget=5.0)
    assert may_start(spent=4.0, promised=1.0, budget=None)


def test_places() -> None:
    """Sparing, every place of the lowest price is open; without money none is."""
    assert allowed_places(PLACES, Allowance.ALL) == frozenset(PLACES)
    assert allowed_places(PLACES, Allowance.CHEAPEST) == {"local", "farm"}
    assert allowed_places(PLACES, Allowance.NOTHING) == allowed_places({}, Allowance.ALL) == frozenset()


def test_enough_to_finish() -> None:
    """As much again for each frame that is left, and a tenth more, in two digits."""
    assert enough_to_finish(spent=5.0, frames_done=120, frames_left=180) == 14.0  # 5 and 1.1 times 7.5 are 13.25
    assert enough_to_finish(spent=0.0, frames_done=0, frames_left=180) is None


@pytest.mark.parametrize(
    ("amount", "expected"), [(0.0123, 0.013), (7.51, 7.6), (123, 130), (1.0, 1.0), (0.99, 0.99), (10, 10), (99.1, 100)]
)
def test_rounding_up(amount: float, expected: float) -> None:
    """Up to two digits, and no further."""
    assert rounded_up(amount) == pytest.approx(expected)
