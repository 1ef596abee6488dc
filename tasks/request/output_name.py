"""Dates in the name of a video: `renders/film-{date}.mp4`. `{{date}}` stands for a name with braces."""

import re
from datetime import datetime

from helios.errors import RequestError

_PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]*)\}(?!\})")
_DOUBLED = re.compile(r"\{(\{[^{}]*\})\}")
_FORMATS = {"date": "%Y-%m-%d", "time": "%H%M", "year": "%Y", "month": "%m", "day": "%d", "weekday": "%a"}
"""The meaning of each placeholder, as a format of `strftime`."""


def has_placeholder(name: str) -> bool:
    """Whether a name has placeholders."""
    return _PLACEHOLDER.search(name) is not None


def check_placeholders(name: str) -> None:
    """Refuse a name with a placeholder that is not known.

    Raises:
        RequestError: There is such a placeholder; names the known ones.
    """
    for found in _PLACEHOLDER.finditer(name):
        if found[1] not in _FORMATS:
            known = ", ".join(f"{{{one}}}" for one in _FORMATS)
            raise RequestError(
                f"The output {name!r} has a placeholder {found[0]} that is not known; there are {known}. For a "
                f"name with braces in it, write them twice: {{{found[0]}}}"
            )


def complete_name(name: str, when: datetime) -> str:
    """Put the time into a name's placeholders.

    Raises:
        RequestError: A placeholder is not known.
    """
    check_placeholders(name)
    return _PLACEHOLDER.sub(lambda found: when.strftime(_FORMATS[found[1]]), name)


def plain_name(name: str) -> str:
    """The file's own name, once its placeholders are complete: braces that were written twice stand once."""
    return _DOUBLED.sub(r"\1", name)
