"""Which files of a job directory count: those that glob patterns name, or all that can be seen.

One selection for what is uploaded to workers elsewhere (`helios.job.assets`) and for what is compared between runs
(`helios.job.inputs`). Names are relative to the job directory, with slashes.
"""

import os
import re
from collections.abc import Container, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from helios.errors import RequestError
from helios.job.folder_walk import FolderWalk, Seen, is_own

__all__ = ["is_own", "select_files"]

_WILDCARDS = re.compile(r"[*?\[]")


def has_wildcard(pattern: str) -> bool:
    """Whether a pattern may find other files than one of its own name."""
    return _WILDCARDS.search(pattern) is not None


def select_files(
    directory: Path, *, patterns: Sequence[str] | None, written: Container[str], field: str, seen: Seen | None = None
) -> Iterator[str]:
    """Find the files that patterns name, each once.

    Args:
        directory: The job directory, without links in its path.
        patterns: Glob patterns relative to it; `**` spans folders, and a folder stands for what is visible in it. None
            for every file but those whose names, or whose folders' names, begin with a dot. Links to folders are
            followed, within the job directory; also out of it where a pattern names the link.
        written: What the job writes, as absolute paths: never selected.
        field: What the patterns are called in messages: `inputs`.
        seen: Takes what was left out, and why.

    Raises:
        RequestError: A pattern finds nothing, leaves the folder, or is none.
    """
    seen = Seen() if seen is None else seen
    if patterns is None:
        return (name for name, real in FolderWalk(directory, seen).files() if real not in written)
    return iter(_matches(directory, patterns, written=written, field=field, seen=seen))


def excluded_files(directory: Path, patterns: Sequence[str]) -> frozenset[Path]:
    """The files that patterns find, as absolute paths without links in their folders'; a pattern may find nothing.

    Raises:
        RequestError: A pattern leaves the folder, or is none.
    """
    names = {name for pattern in patterns for name in _match(directory, pattern, field="exclude", seen=Seen())}
    return frozenset((directory / name).parent.resolve() / name.rpartition("/")[2] for name in names)


def _matches(directory: Path, patterns: Sequence[str], *, written: Container[str], field: str, seen: Seen) -> list[str]:
    found: dict[str, None] = {}
    real: dict[str, str] = {}

    def is_written(name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder not in real:
            real[folder] = str((directory / folder).resolve())  # outputs are known without the links on their way
        return f"{real[folder]}/{last}" in written

    for pattern in patterns:
        names = _match(directory, pattern, field=field, seen=seen)
        if not names:
            raise RequestError(f"The {field} pattern {pattern!r} finds no file in {directory}; correct it, or drop it")
        found.update((name, None) for name in names if not is_written(name))
    return list(found)


def _match(directory: Path, pattern: str, *, field: str, seen: Seen) -> list[str]:
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.startswith("/") or ".." in parts or "\0" in pattern:
        raise RequestError(f"The {field} pattern {pattern!r} leaves the job directory; expected one inside it")
    if any("**" in part and part != "**" for part in parts) or not pattern:
        raise RequestError(
            f"The {field} pattern {pattern!r} is not a glob pattern; expected names with *, ? and [], and ** alone "
            "between slashes"
        )
    names: list[str] = []
    walk = FolderWalk(directory, seen)
    for name in dict.fromkeys(_expand(str(directory), "", parts, (os.path.realpath(directory),))):
        path = directory / name
        if path.is_file():
            if not is_own(name):
                names.append(name)
        elif path.is_dir() and not is_own(name):
            names += [found for found, _ in walk.files(name)]
    return names


def _expand(base: str, name: str, parts: Sequence[str], above: tuple[str, ...]) -> Iterator[str]:
    """The files and folders that a pattern names, links to folders followed, but never inside themselves.

    Python's own globbing follows links or not as its version goes.
    """
    if not parts:
        yield name
        return
    part, rest = parts[0], parts[1:]
    if not _WILDCARDS.search(part):
        path = f"{name}/{part}" if name else part
        if os.path.lexists(f"{base}/{path}"):
            yield from _expand(base, path, rest, above)
        return
    if part == "**":
        yield from _expand(base, name, rest, above)
    try:
        entries = sorted(os.listdir(f"{base}/{name}"))
    except OSError:
        return
    is_match = re.compile(translate(part)).match
    for entry in entries:
        path = f"{name}/{entry}" if name else entry
        if part != "**":
            if is_match(entry):
                yield from _expand(base, path, rest, above)
        elif os.path.isdir(f"{base}/{path}") and (real := os.path.realpath(f"{base}/{path}")) not in above:
            yield from _expand(base, path, parts, (*above, real))
