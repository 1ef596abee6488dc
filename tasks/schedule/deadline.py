"""Which places meet a deadline, with how many chunks at a time: the cheapest slots, and as few as do."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

MARGIN = 0.9
"""Of the time that is left, so much is planned with: the join takes some, and chunks are not all alike."""
SPARE_CHUNK = 0.5
"""So much of the longest chunk's time is kept free at least: the last chunks may take longer than expected, and nothing
can be done about it then."""
CALM_MARGIN = 0.75
"""A place that is open is closed when the others need less than this share of the time that is left: a plan that is
made again and again would else open and close it in turn."""
FIRST_SLOTS = 3
"""Chunks at a time while nothing is known of how long they take."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left of a run, as far as it is known."""

    work: float
    """Seconds on a worker that all chunks take together which are not accepted."""
    longest: float
    """Seconds that the longest of them takes."""
    is_least: bool = False
    """Whether no chunk has told yet how long it takes: they take so long at least, by those that have not ended."""


@dataclass(frozen=True, slots=True)
class Option:
    """A place that may be used."""

    name: str
    """The name; empty where there is one place alone."""
    bound: int
    """Chunks that it can have at a time now; 0 where it can't have any."""
    price: float = 0.0
    """What an hour of one chunk's rendering costs there."""
    pace: float = 1.0
    """How many times as long as in the outlook a chunk takes there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes on."""

    slots: int
    """Chunks at a time, at least 1."""
    seconds: float | None
    """In how many seconds its chunks are then expected to be rendered; None while that is not known."""
    is_in_time: bool
    """Whether that is before the deadline, as far as it is known."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Chunks at a time at each place that is to have some."""


def planned_seconds(left: float, longest: float, *, margin: float = MARGIN) -> float:
    """The part of the time that is left in which everything is to be done.

    Args:
        left: Seconds until the deadline.
        longest: Seconds that the longest chunk takes.
        margin: Of the time that is left, at most so much is planned with.
    """
    return min(margin * left, left - SPARE_CHUNK * longest)


def plan_slots(
    outlook: Outlook | None, options: Sequence[Option], *, left: float, most: int, now_open: Collection[str] = ()
) -> Plan:
    """The cheapest slots that meet a deadline, and as few as do; all there are if none meet it.

    Args:
        outlook: What is left; None while nothing at all is known of how long chunks take.
        options: The places, the preferred one first.
        left: Seconds until the deadline; below 0 where it has passed.
        most: Chunks at a time at most, at least 1.
        now_open: Places that have chunks by the plan before this one.
    """
    options = [option for option in options if option.bound > 0]
    cheapest = sorted(options, key=lambda option: option.price * option.pace)
    first = _fill(cheapest[:1], {}, most=min(FIRST_SLOTS, most))
    if outlook is None:
        slots = first if left > 0 else _fastest(options, most)
        return _plan(slots, None, is_in_time=left > 0)
    wanted = _enough(outlook, cheapest, planned=planned_seconds(left, outlook.longest), most=most)
    slots = _fastest(options, most) if wanted is None else wanted
    calm_seconds = planned_seconds(left, outlook.longest, margin=CALM_MARGIN)
    if wanted is not None and any(name not in wanted for name in now_open):
        calm = _enough(outlook, cheapest, planned=calm_seconds, most=most) or wanted
        stay = {name: count for name, count in calm.items() if name in now_open}
        slots = _fill(cheapest, {name: max(count, stay.get(name, 0)) for name, count in (stay | wanted).items()}, most)
    seconds = expected_seconds(outlook, options, slots)
    if not outlook.is_least:
        return _plan(slots, seconds, is_in_time=seconds <= left)
    slots = slots if sum(slots.values()) > sum(first.values()) else first
    return _plan(slots, None if seconds <= left else seconds, is_in_time=seconds <= left)


def expected_seconds(outlook: Outlook, options: Sequence[Option], slots: Mapping[str, int]) -> float:
    """How long what is left takes at most, with so many slots (Graham's bound for lists)."""
    used = [option for option in options if slots.get(option.name, 0) > 0]
    rate = sum(slots[option.name] / option.pace for option in used)
    if rate == 0:
        return inf
    return (outlook.work - outlook.longest) / rate + outlook.longest * min(option.pace for option in used)


def _plan(slots: Mapping[str, int], seconds: float | None, *, is_in_time: bool) -> Plan:
    return Plan(max(1, sum(slots.values())), seconds, is_in_time, slots)


def _enough(outlook: Outlook, cheapest: Sequence[Option], *, planned: float, most: int) -> dict[str, int] | None:
    """The cheapest slots that do it in a planned time: no dearer place before the cheaper ones are full."""
    for count in range(1, len(cheapest) + 1):
        opened = cheapest[:count]
        # Where the number of chunks at a time is what is short, fast slots replace cheap ones.
        for order in (opened, sorted(opened, key=lambda option: option.pace)):
            if (found := _fewest(outlook, order, planned=planned, most=most)) is not None:
                return found
    return None


def _fewest(outlook: Outlook, order: Sequence[Option], *, planned: float, most: int) -> dict[str, int] | None:
    """The first slots in some order that do it in a planned time; None where all of them together don't."""
    undone, slots = outlook.work - outlook.longest, dict[str, int]()
    for option in order:
        free = min(option.bound, most - sum(slots.values()))
        slack = planned - outlook.longest * option.pace
        if slack <= 0 or free == 0:
            continue
        each = slack / option.pace  # what a slot does of the outlook's seconds, before the longest chunk begins
        count = min(free, max(ceil(undone / each - 1e-9), 0 if slots else 1))
        undone -= count * each
        if count:
            slots[option.name] = count
        if undone <= 1e-9:
            return slots
    return None


def _fastest(options: Sequence[Option], most: int) -> dict[str, int]:
    """As many slots as there may be, the fastest first."""
    return _fill(
        sorted(options, key=lambda option: option.pace), {option.name: option.bound for option in options}, most
    )


def _fill(order: Sequence[Option], wanted: Mapping[str, int], most: int) -> dict[str, int]:
    """Slots in some order, as many of each place as are wanted, or all where none are named; bounded together."""
    slots: dict[str, int] = {}
    for option in order:
        count = min(wanted.get(option.name, 0) if wanted else option.bound, option.bound, most - sum(slots.values()))
        if count > 0:
            slots[option.name] = count
    return slots
