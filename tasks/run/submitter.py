"""Who asked for a run: a tag of its flow run, which Prefect's UI shows and filters by.

It says what the asking program says of itself. Nothing relies on it.
"""

import getpass
import socket
from collections.abc import Collection

TAG = "by:"
"""Begins the tag."""


def submitted_here(tags: Collection[str] = ()) -> list[str]:
    """Tags of a flow run that this user asks for on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = "somebody"
    return [*tags, f"{TAG}{user}@{socket.gethostname()}"]


def submitter_of(tags: Collection[str]) -> str | None:
    """Who asked for a run, as in `anna@render-7`; None where nothing says so: a schedule, or a form in the UI."""
    return next((tag.removeprefix(TAG) for tag in sorted(tags) if tag.startswith(TAG)), None)
