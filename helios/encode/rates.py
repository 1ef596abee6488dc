"""Tell a constant frame rate, and which one it is, from a video's time stamps."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from helios.media.stated_rate import MILLISECOND
from helios.models.framerate import MAX_FPS

USUAL = (
    *(Fraction(base * 1000, 1001) for base in (24, 30, 48, 60, 120)),
    *map(Fraction, (1, 5, 8, 10, 12, 15, 16, 20, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)),
)
"""Rates that cameras and programs write."""
NEAR = Fraction(1, 200)
"""How far a usual rate may lie from the mean one to be tried."""
LARGEST_PART = 1001
"""Denominator of a rate that stands for pictures without one."""


def constant_rate(times: Sequence[int], *, tick: Fraction, stated: Iterable[Fraction | None]) -> Fraction | None:
    """The rate at which every picture is where its number says, but for rounding.

    Args:
        times: Time stamps in ascending order, in ticks.
        tick: Seconds.
        stated: Rates that the container and the codec say, the most trusted first.

    Returns:
        Frames per second; None where there is no such rate.
    """
    found = [rate for rate in stated if rate and 0 < rate <= MAX_FPS]
    if len(times) < 2:
        return found[0] if found else Fraction(25)
    mean = (len(times) - 1) / ((times[-1] - times[0]) * tick)
    near = sorted((rate for rate in USUAL if abs(rate / mean - 1) < NEAR), key=lambda rate: abs(rate - mean))
    slack = _slack(times, tick)
    for rate in dict.fromkeys([*found, *near, mean.limit_denominator(LARGEST_PART)]):
        if rate <= MAX_FPS and _holds(times, rate * tick, slack):
            return rate
    return None


def nominal_rate(times: Sequence[int], *, tick: Fraction, end: int) -> Fraction:
    """A rate that stands for pictures of no constant one: as many a second as there are on average."""
    mean = len(times) / ((end - times[0]) * tick)
    return min(max(mean.limit_denominator(LARGEST_PART), Fraction(1, LARGEST_PART)), Fraction(MAX_FPS))


def _slack(times: Sequence[int], tick: Fraction) -> int:
    """Ticks by which two time stamps may be off together: what was once in Matroska has whole milliseconds."""
    milli = MILLISECOND / tick
    if milli > 1 and milli.denominator == 1 and all((one - times[0]) % int(milli) == 0 for one in times):
        return int(milli)
    return 1


def _holds(times: Sequence[int], frames_per_tick: Fraction, slack: int) -> bool:
    per, of = frames_per_tick.denominator, frames_per_tick.numerator
    return all(abs((ticks - times[0]) * of - number * per) <= slack * of for number, ticks in enumerate(times))
