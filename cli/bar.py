"""What a person sees on a terminal while a job runs: a bar, and above it what went wrong."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tasks.prefect_api.log import LOGGERS
from tasks.run.progress import LISTENER, JobProgress


class Watcher:
    """Follows the job that runs in this process; the last counts are kept.

    Args:
        progress: The bar, or None where there is no terminal.
        title: What the bar says.
    """

    def __init__(self, progress: Progress | None, title: str) -> None:
        self.seen: JobProgress | None = None
        """The last counts; None before the first."""
        self._progress = progress
        self._task: TaskID | None = progress.add_task(escape(title), total=None, detail="") if progress else None

    def __call__(self, seen: JobProgress) -> None:
        """Take the job's counts."""
        self.seen = seen
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=seen.frames, total=seen.total_frames, detail=seen.description)


class _Lines(logging.Handler):
    """Prints warnings and errors above the bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watched(title: str) -> Iterator[Watcher]:
    """Follow the job of this process within the block, with a bar if standard error is a terminal."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield from _listening(Watcher(None, title))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    handler = _Lines(console)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            yield from _listening(Watcher(progress, title))
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)


def _listening(watcher: Watcher) -> Iterator[Watcher]:
    token = LISTENER.set(watcher)
    try:
        yield watcher
    finally:
        LISTENER.reset(token)
