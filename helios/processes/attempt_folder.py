"""A fresh folder for each attempt, gone afterwards, also when the process that made it was killed meanwhile."""

import asyncio
import fcntl
import itertools
import os
import re
import shutil
import signal
import tempfile
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from helios.errors import HeliosError, RequestError, WorkerUnavailableError, is_permanent

VARIABLE = "HELIOS_WORKSPACE"
"""Environment variable of every process that runs for an attempt: the locked folder of its temporary files."""
LOCK = "lock"
NAME_CHARACTERS = 12
"""Short, because programs put UNIX sockets into TMPDIR: their paths have at most 107 bytes, of which Chromium's own
part takes 47."""
_NAME = re.compile(f"[0-9a-f]{{{NAME_CHARACTERS}}}")


class LockedFolder:
    """A folder that is locked for as long as the process that made it lives.

    Args:
        parent: The folder of all such folders; made if it is missing.
    """

    def __init__(self, parent: Path) -> None:
        self.path = parent / uuid.uuid4().hex[:NAME_CHARACTERS]
        self._lock = -1

    def open(self) -> None:
        """Make and lock the folder.

        Raises:
            WorkerUnavailableError, RequestError: The system does not let it be made, now or at all.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
            self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as exc:
            self.remove()
            raise _not_made(self.path, exc) from exc

    def remove(self) -> None:
        """Remove the folder, and unlock it."""
        _remove(self.path)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class AttemptFolders:
    """The TMPDIRs of a process's attempts, in one locked folder, which goes with this object or with the process.

    A lock for each attempt would cost each chunk an open file.

    Args:
        parent: The folder of all such folders.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: LockedFolder | None = None
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Path]:
        """Have a fresh, empty folder within the block.

        Raises:
            WorkerUnavailableError, RequestError: The system does not let it be made, now or at all.
        """
        path = self._locked().path / str(next(self._numbers))
        try:
            path.mkdir(mode=0o700)
        except OSError as exc:
            raise _not_made(path, exc) from exc
        try:
            yield path
        finally:
            try:
                path.rmdir()  # most commands leave nothing, and need no thread
            except OSError:
                await asyncio.to_thread(_remove, path)

    def _locked(self) -> LockedFolder:
        # Somebody who tidies up the temporary folder may have removed it.
        if self._folder is None or not os.path.exists(self._folder.path / LOCK):
            self._folder = LockedFolder(self._parent)
            self._folder.open()
            weakref.finalize(self, self._folder.remove)
        return self._folder


def attempt_environment(folder: Path, temporary: Path) -> dict[str, str]:
    """Variables of every command that runs for an attempt.

    Args:
        folder: The locked folder, by which its processes are found.
        temporary: Its TMPDIR.
    """
    return {VARIABLE: str(folder), "TMPDIR": str(temporary)}


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
        if not _NAME.fullmatch(path.name):
            continue  # not made here
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


def _not_made(path: Path, exc: OSError) -> HeliosError:
    message = f"The attempt's folder {path} can't be made: {exc.strerror}; make room, or mend its permissions"
    return RequestError(message) if is_permanent(exc) else WorkerUnavailableError(message)


def _remove(path: Path) -> None:
    if path.is_symlink():  # a command has put it in the place of its TMPDIR
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        os.unlink(path / LOCK)
        os.rmdir(path)  # often there is nothing else in it, and rmtree takes 0.1 ms
        return
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
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
