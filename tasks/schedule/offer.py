"""Which place gets a chunk of a job that has a deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """A place that could render a chunk."""

    place: str
    """Its name."""
    cost: float
    """What the chunk is expected to cost there."""
    seconds: float
    """In how many seconds it is expected to be done there, the time until a slot is free included."""


def choose_offer(offers: Sequence[Offer], *, seconds_left: Mapping[str, float]) -> Offer:
    """The place for a chunk: the cheapest that is done in time; where none is, the one that is done first.

    Args:
        offers: At least one.
        seconds_left: In how many seconds the chunk is to be done at each place: less where it takes long.
    """
    in_time = [offer for offer in offers if offer.seconds <= seconds_left[offer.place]]
    if in_time:
        return min(in_time, key=lambda offer: (offer.cost, offer.seconds))
    return min(offers, key=lambda offer: (offer.seconds, offer.cost))
