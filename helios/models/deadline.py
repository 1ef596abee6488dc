"""A deadline as people write it, and what the report says of it."""

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from helios.errors import RequestError
from helios.models.base import WireModel

_PART = r"(?:(\d+(?:\.\d+)?){})?"
_LENGTH = re.compile("".join(_PART.format(unit) for unit in "dhms"))
_MOST_DAYS = 3650


class PlaceSpan(WireModel):
    """For how long a deadline had one of several places open."""

    name: str
    """The place."""
    opened_seconds: float
    """When it got its first chunks, in seconds since the run began."""
    closed_seconds: float | None = None
    """When it got no more; empty where it was open to the end."""
    slots: Annotated[int, Field(ge=1)]
    """The most chunks at a time that it was to have."""


class DeadlineReport(WireModel):
    """How a job stood to its deadline."""

    at: datetime
    """The deadline."""
    met: bool
    """Whether the job's chunks were rendered before it."""
    slots: Annotated[int, Field(ge=0)]
    """The most chunks at a time that it took."""
    foreseen_seconds: float | None = None
    """When it was first said that the deadline can't be met, in seconds since the run began; empty if it never was."""
    places: tuple[PlaceSpan, ...] = ()
    """Which of several places were open when, in the order in which they were opened, at most 100."""


def parse_deadline(text: str, began: datetime) -> datetime:
    """The moment that a text names: `2026-12-01T18:00` in local time, `2026-12-01T18:00+01:00`, or `2h`, `1h30m`.

    Args:
        text: A date and a time, or a length of time.
        began: From when a length counts.

    Returns:
        With its time zone.

    Raises:
        RequestError: It is neither.
    """
    plain = text.strip()
    if (found := _LENGTH.fullmatch(plain)) and plain:
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        length = timedelta(days=min(days, _MOST_DAYS + 1), hours=hours, minutes=minutes, seconds=seconds)
        if timedelta(0) < length <= timedelta(days=_MOST_DAYS):
            return began + length
    elif "T" in plain or " " in plain:
        try:
            return datetime.fromisoformat(plain).astimezone()
        except (ValueError, OverflowError, OSError):  # also a year that no clock knows
            pass
    raise RequestError(
        f"The deadline {text!r} is no time (--deadline); expected one such as 2026-12-01T18:00, or a length such as "
        "2h, 90m or 1h30m"
    )


def refuse_past(at: datetime, now: datetime) -> None:
    """Refuse a deadline that has passed.

    Raises:
        RequestError: It has.
    """
    if at <= now:
        here = now.astimezone(at.tzinfo)
        raise RequestError(
            f"The deadline {at:%Y-%m-%d %H:%M:%S %Z} has passed already (--deadline): it is {here:%Y-%m-%d %H:%M:%S}; "
            "expected a later one"
        )
