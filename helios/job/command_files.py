"""Which files of the job directory the words of a chunk's command name: its program, a scene, a file of settings."""

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from helios.job.selection import is_own
from helios.models.spec import RenderJobChunk

_QUOTING = re.compile(r"['\"\\\n\r\t]")


class CommandFiles:
    """The files that commands name. Each folder is listed once, so that a word costs no look at the disk.

    Args:
        directory: The job directory, without links in its path.
        is_written: Whether an absolute path is one that the job writes.
    """

    def __init__(self, directory: Path, *, is_written: Callable[[str], bool]) -> None:
        self._base = f"{directory}/"
        self._is_written = is_written
        self._names: dict[str, str | None] = {}
        self._listed: dict[str, frozenset[str]] = {}
        self._found: dict[str, tuple[str, ...]] = {}

    def of(self, chunk: RenderJobChunk) -> tuple[str, ...]:
        """The names of files that are there, relative to the job directory."""
        if chunk.command not in self._found:
            here = self._list("")
            # Most words are numbers and options: they are sorted out before they are read as paths.
            names = {self._relative(text) for text in _texts(chunk) if "/" in text or text in here}
            self._found[chunk.command] = tuple(
                sorted(name for name in names if name is not None and self._is_there(name))
            )
        return self._found[chunk.command]

    def named(self, chunk: RenderJobChunk) -> Iterator[str]:
        """The words that can name a file in the job directory: as they are, or behind the `=` of an option."""
        return (name for text in _texts(chunk) if (name := self._relative(text)) is not None)

    def _relative(self, text: str) -> str | None:
        if text not in self._names:
            name = posixpath.normpath(text.removeprefix(self._base))
            is_outside = name.startswith(("/", "../")) or name in (".", "..") or "\0" in name
            self._names[text] = None if is_outside or is_own(name) or self._is_written(self._base + name) else name
        return self._names[text]

    def _is_there(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        return last in self._list(folder)

    def _list(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(self._base + folder))
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]


def _texts(chunk: RenderJobChunk) -> list[str]:
    """The words of a command, and of options with a value (`--props=scene.json`) also the value."""
    command = chunk.command
    # Splitting as a shell does takes 20 times as long, and makes a difference where something is quoted.
    words = list(chunk.argv) if _QUOTING.search(command) else command.split(" ")
    if "=" in command:
        words += [word.partition("=")[2] for word in words if "=" in word]
    return [word for word in words if word]
