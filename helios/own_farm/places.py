"""Where a farm's parts keep files on a machine."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """A folder of this user's for files that can be made again: below ~/.cache/helios."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME") or "/tmp", ".cache")  # noqa: S108
    return Path(cache, "helios", name)
