"""Which files of a job directory jobs of this program wrote: these may be replaced. Any other file is somebody's.

JOB DIRECTORY/.helios/outputs.jsonl            a line for each output that was accepted: name, size, time of change
JOB DIRECTORY/.helios/replaced/RUN/NAME        what had the name of an output, and was not on these lines

A file that was changed, or put there by others, has another size or time, and so is none of ours. Without the lines, as
after a copy of the directory, every file is somebody's: it is moved once more than necessary, and none is lost.
"""

import errno
import json
import os
import uuid
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helios.errors import RequestError
from helios.job.held_path import HeldFolders, held_path, open_own, read_own
from helios.job.own_file import is_shared
from helios.models.paths import OWN_FOLDER

NOTES = f"{OWN_FOLDER}/outputs.jsonl"
REPLACED = f"{OWN_FOLDER}/replaced"
MANY_LINES = 100_000
"""So many lines are written anew when most of them are out of date."""


@dataclass(frozen=True)
class SetAside:
    """A file that had to make way for an output."""

    path: Path
    """Where it was."""
    place: Path
    """Where it is."""
    root: Path
    """The job directory."""

    def __str__(self) -> str:
        return f"{self.path} was there before, and no job wrote it: it was moved to {self.place}"

    def put_back(self) -> None:
        """Give it its name back, unless something else has that by now.

        Raises:
            OSError: It stays where it is.
        """
        with held_path(self.path, root=self.root) as path, held_path(self.place, root=self.root) as place:
            if not os.path.lexists(path):
                place.rename(path)


class OwnOutputs:
    """The outputs in one job directory.

    Args:
        directory: The job directory, without links in its path.
        run: Names the run whose outputs replace files.
    """

    def __init__(self, directory: Path, run: str) -> None:
        self._directory = directory
        self._replaced = directory / REPLACED / run
        self._notes = directory / NOTES
        self._known: dict[str, list[int]] | None = None
        self._file: int | None = None
        self._folders = HeldFolders(directory)

    def note(self, output: Path) -> None:
        """Write down that a file is an output that was accepted. A note that is lost costs a file moved aside."""
        with suppress(OSError):
            name, state = self._name(output), _state(output)
            self._load()[name] = state
            os.write(self._opened(), json.dumps([name, *state]).encode() + b"\n")

    def is_own(self, path: Path) -> bool:
        """Whether a file is an output that was accepted, and is as it was then."""
        try:
            return self._load().get(self._name(path)) == _state(path)
        except OSError:
            return False

    def set_aside(self, path: Path) -> SetAside | None:
        """Move what has an output's name, and is none, out of the way; None if there is nothing to be moved.

        Raises:
            OSError: It can't be moved.
        """
        if not os.path.lexists(path) or self.is_own(path):
            return None
        place = self._replaced / self._name(path).lstrip("/")
        if os.path.lexists(place):
            place = place.with_name(f"{place.name}.{uuid.uuid4().hex[:6]}")
        with self.held(path) as source:
            try:
                with self.held(place, make=True) as target:
                    source.rename(target)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                place = path.with_name(f".{path.name[:200]}.before-{uuid.uuid4().hex[:6]}")  # on its own file system
                source.rename(source.with_name(place.name))
        return SetAside(path, place, self._directory)

    def held(self, path: Path, *, make: bool = False) -> AbstractContextManager[Path]:
        """Within a block, a path to the same file through its folder's handle; see `helios.job.held_path`."""
        return self._folders.held_path(path, make=make)

    def make_folder(self, path: Path) -> None:
        """Make an output's folder, and those above it.

        Raises:
            OSError: As `held`.
        """
        self._folders.make_folder(path)

    def remove(self, place: Path) -> None:
        """Remove a file, if it is there, such as what a process that was killed has left at a place of its own."""
        with suppress(OSError), self.held(place) as held:
            held.unlink(missing_ok=True)

    def _opened(self) -> int:
        """The file of notes, open to append to it: opened once, since each chunk has a note."""
        if self._file is None:
            if is_shared(self._notes):  # a copy of the directory by hard links has them: each is to have its own
                self._rewrite(self._load())
            self._file = open_own(self._notes, os.O_WRONLY | os.O_APPEND, root=self._directory)
            weakref.finalize(self, os.close, self._file)
        return self._file

    def _name(self, path: Path) -> str:
        return os.fsdecode(os.path.relpath(path, self._directory) if self._directory in path.parents else path)

    def _load(self) -> dict[str, list[int]]:
        if self._known is None:
            self._known, lines = {}, 0
            with suppress(OSError):
                for lines, text in enumerate(self._read().splitlines(), start=1):  # noqa: B007
                    if (line := _parse(text)) is not None:
                        self._known[line[0]] = line[1:]
            if lines > MANY_LINES and lines > 2 * len(self._known):
                self._rewrite(self._known)
        return self._known

    def _read(self) -> bytes:
        return read_own(self._notes, root=self._directory)

    def _rewrite(self, known: dict[str, list[int]]) -> None:
        beside = self._notes.with_name(f"{self._notes.name}-{uuid.uuid4().hex[:12]}")
        with suppress(OSError), self.held(beside) as held:
            held.write_text("".join(f"{json.dumps([name, *state])}\n" for name, state in known.items()))
            held.replace(held.with_name(self._notes.name))


def check_outputs_are_not_read(outputs: Iterable[Path], read: Mapping[str, Iterable[Path]]) -> None:
    """Refuse outputs that would replace a file that the job needs, by whatever of its names.

    Args:
        outputs: What the job writes.
        read: Files that it reads, by what they are.

    Raises:
        RequestError: Names the output, and the file.
    """
    named = {path: path for path in outputs}
    found = {key: path for path in named if (key := _identity(path)) is not None}
    for what, paths in read.items():
        for path in paths:
            output = named.get(path.parent.resolve() / path.name) or found.get(_identity(path) or (-1, -1))
            if output is not None:
                raise RequestError(
                    f"The output file {output} is {what}, {path}, which it would replace; give the output another name"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    """A file's device and inode, behind all links; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _state(path: Path) -> list[int]:
    found = path.lstat()
    return [found.st_size, found.st_mtime_ns]


def _parse(text: bytes) -> Any:
    """A line; None if it is torn."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, list) and len(line) == 3 and isinstance(line[0], str) else None
