"""A deadline as people write it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from helios.errors import RequestError
from helios.models.deadline import parse_deadline, refuse_past

BEGAN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2h", timedelta(hours=2)),
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("2d", timedelta(days=2)),
    ],
)
def test_lengths(text: str, length: timedelta) -> None:
    """A length counts from the begin."""
    assert parse_deadline(text, BEGAN) == BEGAN + length


def test_moments() -> None:
    """A time with a zone is that moment; one without is in local time."""
    east = timezone(timedelta(hours=2))
    assert parse_deadline("2026-12-01T18:00+02:00", BEGAN) == datetime(2026, 12, 1, 18, tzinfo=east)
    assert parse_deadline("2026-12-01 18:00", BEGAN) == datetime(2026, 12, 1, 18).astimezone()


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "2", "h", "0s", "-2h", "2w", "2h 30", "2026-12-01", "2026-13-01T18:00", "99999d", "T"]
)
def test_no_time(text: str) -> None:
    """What is neither is refused, with an example of each."""
    with pytest.raises(RequestError, match="is no time .--deadline.; expected one such as 2026-12-01T18:00"):
        parse_deadline(text, BEGAN)


def test_the_past() -> None:
    """A deadline that has passed is refused, and the time is named."""
    refuse_past(BEGAN + timedelta(seconds=1), BEGAN)
    with pytest.raises(RequestError, match="2026-11-30 12:00:00 UTC has passed already .--deadline.: it is 2026-11-30"):
        refuse_past(BEGAN, BEGAN)
