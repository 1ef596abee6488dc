"""All that a chunk's command prints, as a file for storage: a JSON object for each line."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from helios.adapter import Stream


class CommandLog:
    """An `OutputSink` that keeps lines, and shows them in the platform's own log.

    The platform's log is all that is left of a worker that its platform kills.

    Args:
        path: Where to write; the file exists once there is a line.
        limit: About how many bytes to keep, from the beginning; the end of the output is in the answer.
    """

    def __init__(self, path: Path, *, limit: int) -> None:
        self.path = path
        self._limit = limit
        self._file: TextIO | None = None
        self._bytes = 0
        self._left_out = 0
        self._is_full = False
        self._started = time.monotonic()

    @property
    def has_lines(self) -> bool:
        """Whether anything was printed."""
        return self._file is not None

    def __call__(self, stream: Stream, line: str) -> None:
        """Keep a line."""
        if self._bytes >= self._limit or self._is_full:
            self._left_out += 1
            return
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="replace")
            self._bytes += self._file.write(self._entry(stream, line))
        except OSError:
            # A full disk: the command meets it too, and says so in the tails, which the answer has.
            self._is_full = True
        print(line, file=sys.stderr)  # noqa: T201  the platform's log is the worker's standard error

    def close(self) -> None:
        """Write what is left, and how much is missing."""
        if self._file is None:
            return
        with suppress(OSError):  # the disk is full
            if self._left_out:
                why = "the disk was full" if self._is_full else f"HELIOS_LOG_BYTES is {self._limit}"
                note = f"[{self._left_out} more lines were left out: {why}]"
                self._file.write(self._entry("stderr", note))
            self._file.flush()
        with suppress(OSError):
            self._file.close()

    def _entry(self, stream: Stream, line: str) -> str:
        entry = {"seconds": round(time.monotonic() - self._started, 3), "stream": stream, "line": line}
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
