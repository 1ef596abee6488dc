"""The display on a terminal while a job runs: a bar, and above it warnings and errors."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.screen import ToldAtEnd, has_bar
from helios.plain_text import visible
from tasks.page.progress_text import describe
from tasks.prefect_api.log import LOGGERS
from tasks.run import progress as run_progress


class _Lines(logging.Handler):
    """Prints warnings and errors above the bar."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(ToldAtEnd())
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(visible(record.getMessage()), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watched(title: str) -> Iterator[Callable[[run_progress.Progress], None]]:
    """Show a bar within the block, if standard error is a terminal; yield a function that takes a job's counts.

    Args:
        title: What the bar says.
    """
    console = Console(stderr=True)
    if not has_bar():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    handler = _Lines(console)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(escape(visible(title)), total=None, detail="")

            def tell(seen: run_progress.Progress) -> None:
                progress.update(
                    task,
                    completed=seen.frames + seen.underway_frames,
                    total=seen.total_frames,
                    detail=escape(visible(describe(seen))),
                )

            yield tell
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
