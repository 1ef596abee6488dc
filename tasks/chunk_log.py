"""What a chunk's command prints: all of it in a file, and a bounded part in its task run's log in Prefect."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from helios.adapter import OutputSink, Stream

FIRST_LINES = LAST_LINES = 20
"""Of an attempt, in Prefect. A line costs a millisecond here, and more in the server."""
RUN_LINES = 20_000
"""Of a whole run, in Prefect."""
LONGEST_LINE = 1000
"""Characters of a line, in Prefect."""


class LineBudget:
    """How many lines a run may still log."""

    def __init__(self, lines: int = RUN_LINES) -> None:
        self.left = lines
        """Lines."""

    def take(self) -> bool:
        """Use one up; say whether there was one."""
        self.left -= 1
        return self.left >= 0


@contextmanager
def chunk_log(path: Path, log: Callable[[str], None], budget: LineBudget) -> Iterator[OutputSink]:
    """A sink for the lines of one attempt.

    Args:
        path: Has all of them; it exists once there is a line.
        log: Called with the first and, in the end, with the last ones.
        budget: The run's.
    """
    file: TextIO | None = None
    count, last = 0, deque[str](maxlen=LAST_LINES)

    def write(_stream: Stream, line: str) -> None:
        nonlocal file, count
        if file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a", encoding="utf-8")  # a resumed run counts its attempts anew
        file.write(line + "\n")
        count += 1
        if count > FIRST_LINES:
            last.append(line)
        elif budget.take():
            log(line[:LONGEST_LINE])

    try:
        yield write
    finally:
        if file is not None:
            file.close()
        left_out = count - FIRST_LINES - len(last)
        if left_out > 0 and budget.take():
            log(f"… {left_out} lines left out; all are in {path}")
        for line in last:
            if budget.take():
                log(line[:LONGEST_LINE])
