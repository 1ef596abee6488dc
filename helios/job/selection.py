"""Which files of a job directory count: those that glob patterns name, or all that can be seen.

One selection for what is uploaded to workers elsewhere (`helios.job.assets`) and for what is compared between runs
(`helios.job.inputs`). Names are relative to the job directory, with slashes.
"""

import os
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from helios.errors import RequestError
from helios.job.directory import ATTEMPT
from helios.models.paths import OWN_FOLDER

_WILDCARDS = re.compile(r"[*?\[]")
_ATTEMPT = re.compile(f"{ATTEMPT}[0-9a-f]{{12}}-")
"""In the names of files that attempts of any job write (`helios.job.directory.JobDirectory.attempt`)."""


def select_files(
    directory: Path, *, patterns: Sequence[str] | None, written: Container[str], field: str
) -> Iterator[str]:
    """Find the files that patterns name, each once.

    Args:
        directory: The job directory, without links in its path.
        patterns: Glob patterns relative to it; `**` spans folders, and a folder stands for what is visible in it. None
            for every file but those whose names, or whose folders' names, begin with a dot; links to folders are not
            followed then.
        written: What the job writes, as absolute paths: never selected.
        field: What the patterns are called in messages: `inputs`.

    Raises:
        RequestError: A pattern finds nothing, leaves the folder, or is none.
    """
    if patterns is None:
        return (name for name in _visible_files(str(directory), "") if f"{directory}/{name}" not in written)
    return iter(_matches(directory, patterns, written=written, field=field))


def is_own(name: str) -> bool:
    """Whether a file is this program's own: in its folder, or an unfinished output of an attempt."""
    return name.partition("/")[0] == OWN_FOLDER or _ATTEMPT.search(name.rpartition("/")[2]) is not None


def _visible_files(folder: str, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return  # gone meanwhile, or closed to this user, and so to the job's commands
    folders = []
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry)
        elif not _ATTEMPT.search(name) and entry.is_file():
            yield prefix + name
    for entry in folders:
        if entry.name != "__pycache__":
            yield from _visible_files(entry.path, f"{prefix}{entry.name}/")


def _matches(directory: Path, patterns: Sequence[str], *, written: Container[str], field: str) -> list[str]:
    found: dict[str, None] = {}
    real: dict[str, str] = {}

    def is_written(name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder not in real:
            real[folder] = str((directory / folder).resolve())  # outputs are known without the links on their way
        return f"{real[folder]}/{last}" in written

    for pattern in patterns:
        names = _match(directory, pattern, field=field)
        if not names:
            raise RequestError(f"The {field} pattern {pattern!r} finds no file in {directory}; correct it, or drop it")
        found.update((name, None) for name in names if not is_written(name))
    return list(found)


def _match(directory: Path, pattern: str, *, field: str) -> list[str]:
    if pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern:
        raise RequestError(f"The {field} pattern {pattern!r} leaves the job directory; expected one inside it")
    try:
        paths = sorted(directory.glob(pattern)) if _WILDCARDS.search(pattern) else [directory / pattern]
    except (ValueError, NotImplementedError) as exc:
        raise RequestError(f"The {field} pattern {pattern!r} is not a glob pattern: {exc}") from None
    names: list[str] = []
    for path in paths:
        name = path.relative_to(directory).as_posix()
        if path.is_file():
            if not is_own(name):
                names.append(name)
        elif path.is_dir() and not is_own(name):
            names += _visible_files(str(path), "" if name == "." else f"{name}/")
    return names
