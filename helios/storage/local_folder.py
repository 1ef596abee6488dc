"""What a folder on this disk needs beside its store: `file://` as a path, empty folders, files of killed writers."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

_UNFINISHED = re.compile(r"#\d+$")
"""Ends the name under which the store's library writes a file before it is whole; listings leave such names out."""


def path_of(url: str) -> Path | None:
    """The path of a `file://` URL; None for another URL."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def remove_empty_folders(folder: Path) -> None:
    """Remove the empty folders in a folder, and the folder itself if it is empty then."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue


def remove_unfinished(folder: Path, *, older_than_seconds: float) -> int:
    """Remove files that writers left unfinished when they were killed.

    Args:
        folder: They are right in it.
        older_than_seconds: Not written to for so long: a younger file may have a writer.

    Returns:
        The number of files.
    """
    removed, latest = 0, time.time() - older_than_seconds
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNFINISHED.search(entry.name) and entry.stat(follow_symlinks=False).st_mtime < latest:
                os.unlink(entry.path)
                removed += 1
    return removed


def remove_file(path: Path) -> None:
    """Remove a file, if it can be found: the handle that its path goes through may be closed."""
    with suppress(OSError):
        path.unlink()
