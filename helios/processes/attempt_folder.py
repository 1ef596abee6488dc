"""A fresh folder for each attempt, gone afterwards, also when the process that made it was killed meanwhile."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from helios.errors import WorkerUnavailableError

VARIABLE = "HELIOS_WORKSPACE"
"""Environment variable of every process that runs for an attempt: the attempt's folder."""
LOCK = "lock"
NAME_CHARACTERS = 12
"""Short, because programs put UNIX sockets into TMPDIR: their paths have at most 107 bytes, of which Chromium's own
part takes 47."""


class AttemptFolder:
    """One attempt's folder. It is locked for as long as the process that made it lives.

    Args:
        parent: The folder of all such folders; made if it is missing.
    """

    def __init__(self, parent: Path) -> None:
        self.path = parent / uuid.uuid4().hex[:NAME_CHARACTERS]
        self.temporary = self.path / "tmp"
        """The command's TMPDIR."""
        self._lock = -1

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every command that runs for the attempt."""
        return {VARIABLE: str(self.path), "TMPDIR": str(self.temporary)}

    def open(self) -> None:
        """Make and lock the folder.

        Raises:
            WorkerUnavailableError: The system does not let it be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
            self.temporary.mkdir()
            self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as exc:
            self.remove()
            raise WorkerUnavailableError(
                f"The attempt's folder {self.path} can't be made: {exc.strerror}; make room, or mend its permissions"
            ) from exc

    def remove(self) -> None:
        """Remove the folder, and unlock it."""
        _remove(self.path)
        if self._lock >= 0:
            os.close(self._lock)

    async def __aenter__(self) -> "AttemptFolder":
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self.temporary.rmdir()  # most commands leave nothing, and need no thread
        if self.temporary.exists():
            await asyncio.to_thread(self.remove)
        else:
            self.remove()


def own_temporary_folder() -> Path:
    """This user's folder in the system's temporary folder, for the attempts of commands on this machine.

    Raises:
        WorkerUnavailableError: It can't be made, or is another user's.
    """
    try:
        path = Path(tempfile.gettempdir(), f"helios-{os.getuid()}")
        path.mkdir(mode=0o700, exist_ok=True)
        owner = path.lstat().st_uid
    except OSError as exc:
        raise WorkerUnavailableError(f"No temporary folder for commands: {exc}; set TMPDIR to another folder") from exc
    if owner != os.getuid() or path.is_symlink():
        raise WorkerUnavailableError(
            f"The temporary folder {path} is user {owner}'s, or a link; expected a folder of user {os.getuid()}: "
            "remove it, or set TMPDIR to another folder"
        )
    return path


def remove_abandoned(parent: Path) -> int:
    """Remove folders whose process is gone, and end what still runs for them.

    Returns:
        How many there were.
    """
    count = 0
    for path in parent.iterdir() if parent.is_dir() else ():
        with _abandoned(path) as abandoned:
            if not abandoned:
                continue
            from helios.processes.tree import carriers  # psutil: 20 ms that only this needs at a worker's start

            for process in carriers(VARIABLE, str(path)):
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            _remove(path)
            count += 1
    return count


def _remove(path: Path) -> None:
    with suppress(OSError):
        os.unlink(path / LOCK)
        os.rmdir(path)  # often there is nothing else in it, and rmtree takes 0.1 ms
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.is_symlink() or not path.exists():
        return
    # A command has taken the right to write away from its own folders, as build tools do.
    for folder, names, _ in os.walk(path):
        for name in [os.path.join(folder, name) for name in names]:
            if not os.path.islink(name):
                with suppress(OSError):
                    os.chmod(name, 0o700)
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether a folder is unlocked; within the block it is locked."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Its process is between making the folder and locking it; or it died there, long ago.
        yield _age_seconds(path) > 60
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
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0  # removed by its process in this moment
