"""Accepted outputs at the moment they are used: the bytes that are read are the bytes that were accepted."""

import os
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from helios.errors import HeliosError, OutputError
from helios.media.checked_reader import CheckedReader
from helios.models.worker import Artifact
from helios.regular_file import open_regular


@dataclass(frozen=True)
class StitchInput:
    """An accepted chunk output."""

    path: Path
    """The file."""
    frames: int
    """Frames that it holds."""
    name: str
    """How messages call it: `chunk 3`."""
    artifact: Artifact | None = None
    """Its size and digest on record; None for a file that is taken as it is."""


class AcceptedFile:
    """An accepted output, opened once and hashed through the open file.

    Another process may give the path to another file meanwhile; it can't do so with an open file.

    Args:
        part: The output.

    Raises:
        OutputError: It can't be read, or is not what was accepted.
    """

    def __init__(self, part: StitchInput) -> None:
        self._part = part
        try:
            self._file = open_regular(part.path)
        except FileNotFoundError:
            raise OutputError(
                f"{part.name}: {part.path} was removed since it was accepted. Run this job again: it renders the chunk "
                "anew"
            ) from None
        except OSError as exc:
            raise OutputError(f"{part.name}: {part.path} can't be read: {exc.strerror}") from exc
        try:
            self._before = os.fstat(self._file.fileno())
            self.file = self._check_digest()
            """Its bytes, as they were hashed: a reader gets these, or an error, whoever writes to the file."""
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "AcceptedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check_unchanged(self) -> None:
        """Make sure that the file was not changed since it was hashed.

        Raises:
            OutputError: It was.
        """
        if self._part.artifact is None:
            return
        before, now = self._before, os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise self._changed(f"{now.st_size} bytes, written to while it was read")
        if now.st_ctime_ns != before.st_ctime_ns:
            # A new name and new rights change this time and leave the content alone; a modification time that was set
            # back changes it, too.
            self._check_digest()

    def _check_digest(self) -> CheckedReader:
        expected = self._part.artifact
        try:
            read = CheckedReader(self._file)
        except OSError as exc:
            raise OutputError(f"{self._part.name}: {self._part.path} can't be read: {exc.strerror}") from exc
        if expected is not None and (read.size, read.sha256) != (expected.bytes, expected.sha256):
            raise self._changed(
                f"{read.size} bytes with sha256 {read.sha256[:12]}… instead of {expected.bytes} with "
                f"{expected.sha256[:12]}…"
            )
        return read

    def _changed(self, difference: str) -> OutputError:
        return OutputError(
            f"{self._part.name}: {self._part.path} was changed since it was accepted ({difference}): another program "
            "writes to the same file. Give each job a folder or output names of its own, and run this job again: it "
            "renders the chunk anew"
        )


def open_in_turn(parts: Sequence[StitchInput]) -> Generator[tuple[StitchInput, AcceptedFile], None, None]:
    """Open one output after the other; each is closed before the next one is given out.

    The next one is hashed in a thread while the caller reads this one: hashing takes about half as long as joining.

    Raises:
        OutputError: As `AcceptedFile`.
    """
    opened: deque[Future[AcceptedFile]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="digest") as ahead:
        try:
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                if not opened:
                    opened.append(ahead.submit(AcceptedFile, part))
                accepted = opened.popleft().result()
                with accepted:
                    if following is not None:
                        opened.append(ahead.submit(AcceptedFile, following))
                    yield part, accepted
        finally:
            for future in opened:
                with suppress(HeliosError):
                    future.result().close()


def check_accepted(parts: Sequence[StitchInput], stop: threading.Event, *, may_be_gone: bool = False) -> None:
    """Compare every output with its record; ends early when `stop` is set.

    Args:
        parts: The outputs.
        stop: Set by another thread.
        may_be_gone: Whether an output may have been removed, as merge commands do.

    Raises:
        OutputError: As `AcceptedFile`.
    """
    for part in parts:
        if stop.is_set():
            return
        if may_be_gone and not os.path.lexists(part.path):
            continue
        with AcceptedFile(part):
            pass
