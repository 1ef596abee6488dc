"""A fresh folder for each attempt, gone afterwards, also when its worker was killed meanwhile."""

import fcntl
import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from helios.errors import WorkerUnavailableError

VARIABLE = "HELIOS_WORKSPACE"
"""Environment variable of every process that runs for a workspace: its folder."""
SPACES = "workspaces"
LOCK = "lock"


class Workspace:
    """One attempt's folder. It is locked for as long as its worker lives.

    Args:
        folder: The worker's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / SPACES / uuid.uuid4().hex
        self.files = self.path / "job"
        """Where the command runs: assets and output."""
        self.temporary = self.path / "tmp"
        """The command's TMPDIR."""
        self.log = self.path / "log.jsonl"
        """What the command prints."""
        self._lock = -1

    def __enter__(self) -> "Workspace":
        try:
            remove_abandoned(self.path.parent)
            for folder in (self.files, self.temporary):
                folder.mkdir(parents=True)
            self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        except OSError as exc:
            shutil.rmtree(self.path, ignore_errors=True)
            raise WorkerUnavailableError(f"The worker can't make a workspace in {self.path}: {exc.strerror}") from exc
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every command that runs here."""
        return {VARIABLE: str(self.path), "HOME": str(self.files), "TMPDIR": str(self.temporary)}


def remove_abandoned(spaces: Path) -> int:
    """Remove workspaces whose worker is gone, and end what still runs in them.

    Returns:
        How many there were.
    """
    count = 0
    for path in spaces.iterdir() if spaces.is_dir() else ():
        with _abandoned(path) as abandoned:
            if not abandoned:
                continue
            from helios.processes.tree import carriers  # psutil: 20 ms that only this needs at a start

            for process in carriers(VARIABLE, str(path)):
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            shutil.rmtree(path, ignore_errors=True)
            count += 1
    return count


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether a workspace is unlocked; within the block it is locked."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Its worker is between making the folder and locking it; or it died there, long ago.
        yield path.is_dir() and _age_seconds(path) > 60
        return
    except OSError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except OSError:
        yield False
    finally:
        os.close(lock)


def _age_seconds(path: Path) -> float:
    return time.time() - path.stat().st_mtime
