"""Digests of a job's input files, each computed once for as long as the file stays as it is.

JOB DIRECTORY/.helios/inputs/digests.json     by name: size, times of the last changes, inode, SHA-256

The file is shared by all jobs of the directory, and replaced in one step: of two runs that write at once, one wins. A
file that can't be read counts as empty, and costs time only.
"""

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from helios.errors import ExpectedError, RequestError
from helios.job.held_path import held_path, read_own
from helios.models.paths import OWN_FOLDER
from helios.regular_file import open_regular

FOLDER = f"{OWN_FOLDER}/inputs"
"""This program's notes on the inputs, in the job directory."""
RACY_NS = 2_000_000_000
"""A file that was changed less than this before it is hashed can change again within the same time stamp: file systems
count in steps of up to 2 s (FAT), most in steps of a clock tick."""
UNREADABLE = "unreadable"
"""Stands for the digest of a file that this user may not read, and so neither may the job's commands."""
_PIECE = 1024 * 1024


class HashingStoppedError(ExpectedError):
    """Hashing was asked to stop."""


class FileState(NamedTuple):
    """How a file looks without being read. Each change of its content changes one of these."""

    size: int
    """Bytes."""
    modified_ns: int
    """When the content was changed; programs can set it."""
    changed_ns: int
    """When content, name or rights were changed, by the file system's clock; programs can't set it."""
    inode: int
    """Another one when the file was replaced."""

    @classmethod
    def of(cls, found: os.stat_result) -> "FileState":
        """Of what `os.stat` returned."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def look_at(directory: Path, names: Iterable[str]) -> dict[str, FileState]:
    """The states of files; without those that are gone, or are no regular files."""
    states = {}
    base = f"{directory}/"
    for name in names:
        try:
            found = os.stat(base + name)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            states[name] = FileState.of(found)
    return states


def file_clock_ns(folder: Path) -> int:
    """The time now by the clock that dates the files of a folder, which may be another machine's.

    Raises:
        OSError: Nothing can be written there.
    """
    probe = folder / f"clock-{os.getpid()}-{threading.get_ident()}"
    with note_held(probe) as held:
        try:
            file = os.open(held, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                os.write(file, b"\n")  # which dates it, also if it was there
                return os.fstat(file).st_mtime_ns
            finally:
                os.close(file)
        finally:
            held.unlink(missing_ok=True)


def replace_json(path: Path, document: Any) -> None:
    """Write a file as JSON in one step.

    Raises:
        OSError: It can't be written.
    """
    with note_held(path) as held:
        beside = held.with_name(f"{path.name}-{os.getpid()}-{threading.get_ident()}")
        try:
            beside.unlink(missing_ok=True)
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with os.fdopen(file, "w", encoding="utf-8") as opened:
                opened.write(json.dumps(document, separators=(",", ":")))
            beside.replace(held)
        finally:
            beside.unlink(missing_ok=True)


def note_held(path: Path) -> AbstractContextManager[Path]:
    """A note's path through its folder's handle: `JOB DIRECTORY/.helios/inputs/NAME`."""
    return held_path(path, root=note_root(path), make=True)


def note_root(path: Path) -> Path:
    """The job directory of a note."""
    return path.parents[FOLDER.count("/") + 1]


def read_json(path: Path) -> dict[str, Any]:
    """Read what `replace_json` wrote; a file that is missing or torn counts as empty."""
    try:
        document = json.loads(read_own(path, root=note_root(path)))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


class FileDigests:
    """The digests of a job directory's files.

    Args:
        directory: The job directory.
        now_ns: The time by `file_clock_ns`, taken before any file is hashed.
        stop: Set from another thread, ends the hashing.
    """

    def __init__(self, directory: Path, *, now_ns: int, stop: threading.Event | None = None) -> None:
        self._directory = directory
        self._file = directory / FOLDER / "digests.json"
        self._now_ns = now_ns
        self._stop = stop or threading.Event()
        known = read_json(self._file).get("files")
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}
        self._is_changed = False
        self.hashed_files = 0
        """Files that were read."""
        self.hashed_bytes = 0
        """Their size."""

    def of(self, states: Mapping[str, FileState]) -> dict[str, str]:
        """The digest of each file, in hexadecimal, or `UNREADABLE`; files that are gone meanwhile are left out.

        Raises:
            HashingStoppedError: `stop` was set.
        """
        digests, fresh = {}, {}
        for name, state in states.items():
            known = self._known.get(name)
            if isinstance(known, list) and len(known) == 5 and tuple(known[:4]) == state and _is_digest(known[4]):
                digests[name] = known[4]
                continue
            found = self._hash(name)
            if found is not None:
                digests[name], after = found
                if after is not None:
                    fresh[name] = [*after, digests[name]]
        self._known.update(fresh)
        self._is_changed = self._is_changed or bool(fresh)
        return digests

    def save(self, seen: Iterable[str]) -> None:
        """Keep the digests for later runs, without those of files that are gone; a full disk costs time only."""
        if not self._is_changed:
            return
        seen = set(seen)
        kept = {
            name: entry
            for name, entry in self._known.items()
            if name in seen or os.path.lexists(f"{self._directory}/{name}")
        }
        with suppress(OSError):
            replace_json(self._file, {"files": kept})

    def _hash(self, name: str) -> tuple[str, FileState | None] | None:
        """A file's digest, and its state if that may be trusted later; None if the file is gone."""
        try:
            with open_regular(f"{self._directory}/{name}") as file:
                before = FileState.of(os.fstat(file.fileno()))
                digest = hashlib.sha256()
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    if self._stop.is_set():
                        raise HashingStoppedError("The job was stopped while its input files were hashed")
                after = FileState.of(os.fstat(file.fileno()))
        except FileNotFoundError:
            return None
        except OSError:
            return UNREADABLE, None
        self.hashed_files += 1
        self.hashed_bytes += before.size
        newest = max(after.modified_ns, after.changed_ns)
        is_steady = before == after and newest + RACY_NS < self._now_ns
        return digest.hexdigest(), after if is_steady else None


def digest_of(directory: Path, name: str) -> str:
    """The digest of one file, computed once for as long as it stays as it is.

    Args:
        directory: The job directory.
        name: The file's path in it.

    Raises:
        RequestError: It can't be read.
    """
    try:
        digests = FileDigests(directory, now_ns=file_clock_ns(directory / FOLDER))
    except OSError as exc:
        raise RequestError(f"{directory} can't be used: {exc.strerror}; name another job directory") from None
    found = digests.of(look_at(directory, [name]))
    digests.save(found)
    if found.get(name, UNREADABLE) == UNREADABLE:
        raise RequestError(f"{directory / name} can't be read; expected a file of this user's")
    return found[name]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def refuse_unreadable(digests: Mapping[str, str], directory: Path) -> None:
    """Refuse input files that were named and can't be read.

    Raises:
        RequestError: Names the first.
    """
    for name, digest in digests.items():
        if digest == UNREADABLE:
            raise RequestError(f"The input file {directory / name} can't be read; correct its rights, or its `inputs`")
