"""Tell files that a job's commands left beside their outputs from files that a person put there.

By default everything in the job directory is an input, and commands write logs, temporary frames and caches there. A
file is a side file, and no input, if it was not there when an earlier run of the job began, and the file system dates
its last change between that run's start and that run's last sign of life. It stays a side file for as long as nothing
changes it but the job's runs. A file that was there at the start stays an input, whoever changes it.

JOB DIRECTORY/.helios/inputs/JOB.json     the last run of a job in this directory: its start, its end, its inputs, and
                                          the side files that were known then. The modification time of the file is the
                                          run's last sign of life

All times are the file system's own, so that no clocks are compared. Without the note, as after a copy of the directory,
every file is an input: chunks are rendered once more than necessary, and no change is missed.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from helios.job.file_digests import FOLDER, FileState, file_clock_ns, note_root, read_json, replace_json
from helios.job.held_path import HeldFolders

ALIVE_SECONDS = 1.0
"""Between two signs of life."""
LAST_WORDS_NS = 5_000_000_000
"""How long commands go on after the last sign of life of a process that was killed: until the next sign was due, and
then until the guardian has ended them, which takes two seconds."""


class SideFiles:
    """The side files of one job in one directory, as earlier runs have left them.

    Args:
        directory: The job directory.
        job: The job's name in records.
    """

    def __init__(self, directory: Path, job: str) -> None:
        self._file = directory / FOLDER / f"{job}.json"
        note = read_json(self._file)
        self._began = _number(note.get("startedNs"))
        self._ended = _number(note.get("endedNs"))
        if self._began is not None and self._ended is None:
            with suppress(OSError):
                self._ended = self._file.stat().st_mtime_ns + LAST_WORDS_NS
        found, side = note.get("inputs"), note.get("sideFiles")
        self._inputs = set(found) if isinstance(found, list) else set()
        self._side: dict[str, Any] = side if isinstance(side, dict) else {}

    def find(self, states: Mapping[str, FileState]) -> dict[str, FileState]:
        """Those of some files that are side files."""
        return {
            name: state for name, state in states.items() if name not in self._inputs and self._is_side(name, state)
        }

    def is_of_a_run(self, changed_ns: int) -> bool:
        """Whether something was changed while the last run went on."""
        return self._began is not None and self._ended is not None and self._began <= changed_ns <= self._ended

    @contextmanager
    def note_run(self, inputs: Mapping[str, Any], side_files: Mapping[str, FileState]) -> Iterator[None]:
        """Within the block a run goes on: note its start, its signs of life, and its end.

        Raises:
            OSError: The note can't be written.
        """
        note = {
            "startedNs": file_clock_ns(self._file.parent),
            "inputs": list(inputs),
            "sideFiles": {name: state.changed_ns for name, state in side_files.items()},
        }
        replace_json(self._file, note)
        over = threading.Event()
        beat = threading.Thread(target=self._show_life, args=(over,), name="inputs-alive", daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            with suppress(OSError):
                replace_json(self._file, {**note, "endedNs": file_clock_ns(self._file.parent)})

    def _is_side(self, name: str, state: FileState) -> bool:
        return self.is_of_a_run(state.changed_ns) or self._side.get(name) == state.changed_ns

    def _show_life(self, over: threading.Event) -> None:
        folders = HeldFolders(note_root(self._file))
        while not over.wait(ALIVE_SECONDS):
            with suppress(OSError), folders.held_path(self._file, make=True) as held:
                os.utime(held, follow_symlinks=False)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
