"""How much of a limit a run gets while other runs want it too: its weight, and the tag of its flow run that says it."""

from collections.abc import Collection

from helios.errors import RequestError

TAG = "priority:"
"""Begins the tag of a flow run that has a priority of its own; people may set it in Prefect's UI as well."""
WEIGHTS = {"urgent": 16, "default": 4, "background": 1}
"""By the names of priorities, which are those of the work queues."""
DEFAULT_WEIGHT = WEIGHTS["default"]
"""Of runs of which nobody says anything."""
MOST_WEIGHT = 1000
"""The largest weight."""


def parse_priority(text: str) -> int:
    """The weight that a priority's name, or a number, stands for: 1 to `MOST_WEIGHT`.

    Raises:
        RequestError: It stands for none.
    """
    known = text.strip().lower()
    if known in WEIGHTS:
        return WEIGHTS[known]
    if known.isdecimal() and known.isascii() and 1 <= int(known[:9]) <= MOST_WEIGHT:
        return int(known)
    raise RequestError(
        f"The priority {text!r} is not known; expected {', '.join(WEIGHTS)}, or a weight from 1 to {MOST_WEIGHT}"
    )


def weight_of(tags: Collection[str], *, queue: str | None) -> int:
    """A run's weight: by its tag, else by its work queue. A tag that says nothing sound is ignored.

    Args:
        tags: The flow run's.
        queue: The name of its work queue, if it has one.
    """
    for tag in sorted(tags):
        if tag.startswith(TAG):
            try:
                return parse_priority(tag.removeprefix(TAG))
            except RequestError:
                continue
    return WEIGHTS.get(queue or "", DEFAULT_WEIGHT)


def with_priority(tags: Collection[str], priority: str) -> list[str]:
    """Tags of a flow run with another priority; see `parse_priority` for what is refused."""
    parse_priority(priority)
    return [*(tag for tag in tags if not tag.startswith(TAG)), f"{TAG}{priority.strip().lower()}"]
