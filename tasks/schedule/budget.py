"""What a run may still start, by what it has spent: pure decisions, in whatever currency the amounts are."""

from collections.abc import Mapping
from enum import StrEnum
from math import ceil

SPARING = 0.9
"""From this share of the budget on, only what is needed starts, and only at the cheapest place."""
RESERVE = 1.1
"""What is said to be enough to finish, over what is expected: so that it does not end a few frames early."""


class Allowance(StrEnum):
    """What may start."""

    ALL = "all"
    """Everything."""
    CHEAPEST = "cheapest"
    """Chunks at the cheapest place; no second attempts, and audits when nothing else is left."""
    NOTHING = "nothing"
    """Nothing."""


def allowance(spent: float, budget: float | None) -> Allowance:
    """What may start.

    Args:
        spent: So far, what runs now included.
        budget: What may be spent, above 0; None for any amount.
    """
    if budget is None or spent < SPARING * budget:
        return Allowance.ALL
    return Allowance.CHEAPEST if spent < budget else Allowance.NOTHING


def may_start(*, spent: float, promised: float, budget: float | None) -> bool:
    """Whether another attempt may start: what is spent, and what runs now will still cost, leave something over.

    Args:
        spent: So far, what runs now included.
        promised: What the attempts that run now are expected to cost from now on.
        budget: What may be spent; None for any amount.
    """
    return budget is None or spent + promised < budget


def allowed_places(prices: Mapping[str, float], allowed: Allowance) -> frozenset[str]:
    """The places of a job at which something may start.

    Args:
        prices: What a frame costs at each place, by its name: as far as that is known, else a second of a worker.
        allowed: What may start at all.
    """
    if allowed is Allowance.NOTHING or not prices:
        return frozenset()
    if allowed is Allowance.ALL:
        return frozenset(prices)
    least = min(prices.values())
    return frozenset(place for place, price in prices.items() if price == least)


def enough_to_finish(*, spent: float, frames_done: int, frames_left: int) -> float | None:
    """The budget that is expected to finish a job, rounded up to two digits; None while no frame has cost anything.

    Args:
        spent: So far.
        frames_done: Frames that were rendered for that.
        frames_left: Frames to render.
    """
    if frames_done == 0 or spent <= 0:
        return None
    return rounded_up(spent + RESERVE * frames_left * spent / frames_done)


def rounded_up(amount: float) -> float:
    """An amount above 0, rounded up to two digits: 0.0123 to 0.013, 7.51 to 7.6, 123 to 130."""
    step = 10.0 ** (len(str(int(amount))) - 2) if amount >= 1 else 1.0
    while step > amount / 10:
        step /= 10
    return round(ceil(amount / step - 1e-9) * step, 12)
