"""Names of runs that no person has chosen: a run keeps a name that somebody typed.

Prefect's server and its client give a run that gets no name two random words, `brave-otter`.
"""

import re
from functools import cache
from typing import Any

from coolname.data import config

MISSED = re.compile(r"missed-\d{8}-\d{4}")
"""Names of runs that record a missed time (`farm.missed_runs`)."""


def is_made_up(name: str) -> bool:
    """Whether a program made a run's name up, so that a better one may take its place."""
    adjective, _, noun = name.partition("-")
    return MISSED.fullmatch(name) is not None or (adjective in _words("adj_any") and noun in _words("subj"))


@cache
def _words(part: str) -> frozenset[str]:
    """Every word of a part of coolname's phrases."""
    found: Any = config[part]
    if "lists" in found:
        return frozenset(word for name in found["lists"] for word in _words(name))
    return frozenset(found["words"])
