"""Walk through a job directory, also through links to folders, and keep account of what is left out, and why.

A folder that is reached through links is walked wherever it is linked, as commands see it, but never inside itself.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from helios.job.directory import ATTEMPT
from helios.models.paths import OWN_FOLDER

_ATTEMPT = re.compile(f"{ATTEMPT}[0-9a-f]{{12}}-")
"""In the names of files that attempts of any job write (`helios.job.directory.JobDirectory.attempt`)."""
CACHE = "__pycache__"
"""Python makes these folders anew."""


@dataclass
class Seen:
    """What a walk met beside the files that it yields. Names are relative to the job directory, with slashes."""

    hidden: dict[str, None] = field(default_factory=dict)
    """Files and folders that were left out because their names begin with a dot, and Python's caches."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Links that lead to nothing, folders that can't be read, and what is no file; each with the reason."""
    outside: dict[str, str] = field(default_factory=dict)
    """Links that lead out of the job directory, each with the place that it leads to. Files behind them count as what
    they are; folders are not walked, unless the walk begins there."""
    folders: set[str] = field(default_factory=set)
    """Folders that were walked."""


def is_own(name: str) -> bool:
    """Whether a file is this program's own: in its folder, or an unfinished output of an attempt, or in one."""
    return name.partition("/")[0] == OWN_FOLDER or _ATTEMPT.search(name) is not None


class FolderWalk:
    """Finds the visible files of a job directory: those without a dot at the beginning of their names.

    Args:
        directory: The job directory, without links in its path.
        seen: Takes what is met beside them.
    """

    def __init__(self, directory: Path, seen: Seen) -> None:
        self._base = str(directory)
        self._seen = seen

    def files(self, folder: str = "") -> Iterator[tuple[str, str]]:
        """The visible files below a folder of the job directory.

        Yields:
            A name, and the file's absolute path without links among its folders.
        """
        real = os.path.realpath(os.path.join(self._base, folder))
        if not self._is_inside(real):
            self._seen.outside[folder] = real
        return self._walk(real, f"{folder}/" if folder else "", {real})

    def _walk(self, real: str, prefix: str, above: set[str]) -> Iterator[tuple[str, str]]:
        """Walk one folder; `above` are the folders on the way to it, and itself."""
        try:
            with os.scandir(real) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as exc:
            self._seen.unusable[prefix.rstrip("/")] = exc.strerror or "it can't be read"
            return
        self._seen.folders.add(prefix.rstrip("/"))
        folders = []
        for entry in entries:
            name = prefix + entry.name
            if _is_dir(entry):
                if (not prefix and entry.name == OWN_FOLDER) or _ATTEMPT.search(entry.name):
                    continue
                if entry.name.startswith(".") or entry.name == CACHE:
                    self._seen.hidden[name] = None
                else:
                    folders.append(entry)
            elif _ATTEMPT.search(entry.name):
                continue
            elif entry.name.startswith("."):
                self._seen.hidden[name] = None
            elif self._is_file(entry, name):
                yield name, f"{real}/{entry.name}"
        for entry in folders:
            target = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if target in above or self._is_own_folder(target):
                continue
            if entry.is_symlink() and not self._is_inside(target):
                self._seen.outside[prefix + entry.name] = target  # it may be a home folder, or the whole disk
                continue
            yield from self._walk(target, f"{prefix}{entry.name}/", above | {target})

    def _is_file(self, entry: os.DirEntry[str], name: str) -> bool:
        try:
            if entry.is_file():
                if entry.is_symlink() and not self._is_inside(target := os.path.realpath(entry.path)):
                    self._seen.outside[name] = target
                return True
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            reason = "a link that leads to nothing" if broken else "neither a file nor a folder"
        except OSError as exc:
            reason = exc.strerror or "it can't be read"
        self._seen.unusable[name] = reason
        return False

    def _is_inside(self, real: str) -> bool:
        return real == self._base or real.startswith(f"{self._base}/")

    def _is_own_folder(self, real: str) -> bool:
        return f"{real}/".startswith(f"{self._base}/{OWN_FOLDER}/")


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
