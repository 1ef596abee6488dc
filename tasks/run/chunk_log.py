"""The output of a chunk's command: whole in a file, and a bounded part in its task run's log in Prefect."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from helios.adapter import OutputSink, Stream
from helios.job.held_path import open_own

FIRST_LINES = LAST_LINES = 20
"""Lines of an attempt that go to Prefect, from each end."""
BATCH_SECONDS = 2.0
"""Lines within this many seconds, which is how often Prefect sends them, become one record: a record costs half a
millisecond here, and as much in the server."""
RUN_LINES = 20_000
"""Lines of a whole run that go to Prefect."""
LONGEST_LINE = 1000
"""Characters of a line that go to Prefect."""


class LineBudget:
    """Counts the lines that a run may still log."""

    def __init__(self, lines: int = RUN_LINES) -> None:
        self.left = lines
        """Lines."""

    def take(self) -> bool:
        """Use one line up; return whether there was one left."""
        self.left -= 1
        return self.left >= 0


class _Batch:
    """Collects lines, and logs them together a moment after the first."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: str) -> None:
        """Take a line."""
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def flush(self) -> None:
        """Log the lines so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            self._log("\n".join(self._lines))
            self._lines.clear()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give an error of writing, which names no file, the file's name: else nobody knows which disk is full."""
    try:
        yield
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, exc.filename or str(path)) from exc


@contextmanager
def chunk_log(path: Path, log: Callable[[str], None], budget: LineBudget, *, root: Path) -> Iterator[OutputSink]:
    """A sink for the lines of one attempt, in an event loop.

    Args:
        path: The file for all lines; it exists once there is a line.
        log: Called with the first lines and, at the end, with the last ones; each text has one or more lines.
        budget: The lines that the run may still log.
        root: The job directory; no link below it is followed.
    """
    file: TextIO | None = None
    count, last, batch = 0, deque[str](maxlen=LAST_LINES), _Batch(log)

    def write(_stream: Stream, line: str) -> None:
        nonlocal file, count
        with _named(path):
            if file is None:
                # A resumed run counts its attempts anew.
                opened = open_own(path, os.O_WRONLY | os.O_APPEND, root=root)
                file = os.fdopen(opened, "a", encoding="utf-8")
            file.write(line + "\n")
        count += 1
        if count > FIRST_LINES:
            last.append(line)
        elif budget.take():
            batch.add(line[:LONGEST_LINE])

    try:
        yield write
    finally:
        if file is not None:
            with _named(path):
                file.close()
        left_out = count - FIRST_LINES - len(last)
        if left_out > 0 and budget.take():
            batch.add(f"… {left_out} lines left out; all are in {path}")
        for line in last:
            if budget.take():
                batch.add(line[:LONGEST_LINE])
        batch.flush()
