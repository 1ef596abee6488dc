"""Dates in the name of a video: `renders/film-{date}.mp4`."""

import re
from datetime import datetime

from helios.errors import RequestError

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_FORMATS = {"date": "%Y-%m-%d", "time": "%H%M", "year": "%Y", "month": "%m", "day": "%d", "weekday": "%a"}
"""What each placeholder stands for, as `strftime` writes it."""


def has_placeholder(name: str) -> bool:
    """Whether a name is to be completed."""
    return _PLACEHOLDER.search(name) is not None


def complete_name(name: str, when: datetime) -> str:
    """Put the time into a name's placeholders.

    Raises:
        RequestError: A placeholder is not known.
    """

    def text(found: re.Match[str]) -> str:
        if (wanted := _FORMATS.get(found[1])) is None:
            known = ", ".join(f"{{{one}}}" for one in _FORMATS)
            raise RequestError(f"The output {name!r} has a placeholder {found[0]} that is not known; there are {known}")
        return when.strftime(wanted)

    return _PLACEHOLDER.sub(text, name)
