"""How many chunks at a time meet a deadline: as few as do, since each further slot may cost something."""

from dataclasses import dataclass
from math import ceil, inf

MARGIN = 0.9
"""Of the time that is left, so much is planned with: the join takes some, and chunks are not all alike."""
FIRST_SLOTS = 3
"""Chunks at a time while nothing is known of how long they take."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left of a run, as far as it is known."""

    work: float
    """Seconds on a worker that all chunks take together which are not accepted."""
    longest: float
    """Seconds that the longest of them takes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes on."""

    slots: int
    """Chunks at a time, at least 1."""
    seconds: float | None
    """In how many seconds its chunks are then expected to be rendered; None while that is not known."""
    is_in_time: bool
    """Whether that is before the deadline, as far as it is known."""


def expected_seconds(outlook: Outlook, slots: int) -> float:
    """How long what is left takes at most, so many at a time (Graham's bound for lists)."""
    return outlook.work / slots + (1 - 1 / slots) * outlook.longest


def plan_slots(outlook: Outlook | None, *, left: float, most: int) -> Plan:
    """The fewest chunks at a time that meet a deadline; all there are if none meet it.

    Args:
        outlook: What is left; None while it is not known how long chunks take.
        left: Seconds until the deadline; below 0 where it has passed.
        most: Chunks at a time at most, at least 1.
    """
    if outlook is None:
        return Plan(min(FIRST_SLOTS, most) if left > 0 else most, None, is_in_time=left > 0)
    planned = MARGIN * left
    slack = planned - outlook.longest
    wanted = (outlook.work - outlook.longest) / slack if slack > 0 else inf
    slots = most if wanted > most else max(1, ceil(wanted - 1e-9))
    seconds = expected_seconds(outlook, slots)
    return Plan(slots, seconds, is_in_time=seconds <= left)
