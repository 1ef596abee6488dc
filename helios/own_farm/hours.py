"""The hours of the day in which a node takes chunks."""

import re
from dataclasses import dataclass
from datetime import datetime, time

from helios.errors import RequestError

_SHAPE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True)
class Hours:
    """From one time of the machine's clock to another, also over midnight."""

    begin: time
    """Chunks are taken from then."""
    end: time
    """And not any more from then."""

    def hold(self, now: datetime) -> bool:
        """Whether chunks are taken at a time."""
        at = now.time()
        if self.begin <= self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def parse_hours(text: str) -> Hours:
    """Read `19:00-07:00`.

    Raises:
        RequestError: It is something else, or no time at all.
    """
    found = _SHAPE.fullmatch(text.strip())
    begin, end = (time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))) if found else (None, None)
    if begin is None or end is None or begin == end:
        raise RequestError(f"{text[:40]!r} are no hours; expected two different times such as 19:00-07:00")
    return Hours(begin, end)
