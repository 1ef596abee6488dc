"""Which place gets a chunk of a job that has a deadline."""

from math import inf

import pytest

from tasks.schedule.offer import Offer, choose_offer


@pytest.mark.parametrize(("left", "expected"), [(inf, "farm"), (50.0, "lambda"), (5.0, "lambda")])
def test_the_cheapest_in_time(left: float, expected: str) -> None:
    """A chunk goes to the cheapest place that is done in time, else to the first that is done."""
    offers = [Offer("local", 0.0, 100.0), Offer("farm", 0.0, 60.0), Offer("lambda", 2.0, 10.0)]
    seconds_left = {offer.place: left for offer in offers}
    assert choose_offer(offers, seconds_left=seconds_left).place == expected
