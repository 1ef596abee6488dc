"""Write below a job directory without following links: a folder that was a folder may be a link by now.

A command may put a link in the place of a folder while the job runs, so that what this program writes next goes
elsewhere: out of a sandbox, over another chunk. So each step from the job directory to a file's folder is opened by
itself, and refused if it is a link (as openat2(2) does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, which Python does
not have). The last folder is held open, and the file is named through it (/proc/self/fd/N/NAME): whatever becomes of
the folder's own name, nothing is written anywhere else.
"""

import errno
import os
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLES = "/proc/self/fd"
MOST_OPEN = 16
"""Folders that a run keeps open; a process has a thousand handles at least."""
MOST_OWN_BYTES = 128 * 1024 * 1024
"""Of a file of this program's own that is read: 500,000 inputs have as many."""


class LinkedFolderError(OSError):
    """A folder on the way to a file is a link, or no folder."""


@contextmanager
def held_path(path: Path, *, root: Path, make: bool = False) -> Iterator[Path]:
    """Within the block, a path that leads to the same name in the same folder, whatever other processes do.

    It is good in this process alone. The name itself may be a link's: open it with O_NOFOLLOW, rename or unlink it.

    Args:
        path: An absolute path without `..`. A path outside `root` is given back as it is.
        root: The job directory, without links in its path.
        make: Make the folders that are missing.

    Raises:
        LinkedFolderError: A folder between `root` and the file is a link, or no folder.
        OSError: A folder is missing, or can't be opened.
    """
    if root not in path.parents:
        yield path
        return
    folder = open_folder(path.parent, root=root, make=make)
    try:
        with _through(folder, path) as held:
            yield held
    finally:
        os.close(folder)


class HeldFolders:
    """Folders below one job directory that stay open, so that a file in them costs no opened folder.

    A folder that is open already is used while its path leads to it, and no step of that path is a link. Else the path
    is opened anew, step by step, as `held_path` does each time.

    Args:
        root: The job directory, without links in its path.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._open: dict[Path, _OpenFolder] = {}

    @contextmanager
    def held_path(self, path: Path, *, make: bool = False) -> Iterator[Path]:
        """As the function `held_path`."""
        if self._root not in path.parents:
            yield path
            return
        folder = self._folder(path.parent, make=make)  # open for as long as this block has it
        with _through(folder.handle, path) as held:
            yield held

    def make_folder(self, path: Path) -> None:
        """As the function `make_folder`."""
        if path == self._root or self._root in path.parents:
            self._folder(path, make=True)
        else:
            path.mkdir(parents=True, exist_ok=True)

    def _folder(self, path: Path, *, make: bool) -> "_OpenFolder":
        with self._lock:
            folder = self._open.pop(path, None)
            if folder is None or not folder.is_at(path, self._root):
                folder = _OpenFolder(open_folder(path, root=self._root, make=make))
            self._open[path] = folder
            if len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]  # the one that was not used for longest
            return folder


class _OpenFolder:
    """A folder that is open for as long as this object is in use."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._found = os.fstat(handle)  # no other folder has this inode while it is open
        weakref.finalize(self, os.close, handle)

    def is_at(self, path: Path, root: Path) -> bool:
        """Whether a path leads here, from the job directory on without links."""
        try:
            for step in [*reversed(path.parents[: len(path.parts) - len(root.parts)]), path]:
                found = os.lstat(step)
                if not stat.S_ISDIR(found.st_mode):
                    return False
        except OSError:
            return False
        return os.path.samestat(found, self._found)


@contextmanager
def _through(folder: int, path: Path) -> Iterator[Path]:
    """A path to a file through its folder's handle; errors within the block name the file's own path."""
    through = f"{_HANDLES}/{folder}"
    try:
        yield Path(through, path.name)
    except OSError as exc:
        for attribute in ("filename", "filename2"):  # people know the file by its own path
            named = getattr(exc, attribute, None)
            if isinstance(named, str) and named.startswith(f"{through}/"):
                setattr(exc, attribute, str(path.parent) + named[len(through) :])
        raise


def open_folder(path: Path, *, root: Path, make: bool = False) -> int:
    """Open a folder below a job directory, or the directory itself, step by step; see `held_path`."""
    folder = os.open(root, _FOLDER)
    try:
        for name in path.relative_to(root).parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except OSError as exc:
                if exc.errno in (errno.ELOOP, errno.ENOTDIR):
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    what = "a link" if stat.S_ISLNK(found.st_mode) else "no folder"
                    raise LinkedFolderError(
                        errno.ENOTDIR, f"{name} is {what}, and was expected to be a folder", str(path)
                    ) from None
                raise OSError(exc.errno, exc.strerror, str(path)) from None
            os.close(folder)
            folder = below
    except BaseException:
        os.close(folder)
        raise
    return folder


def make_folder(path: Path, *, root: Path) -> None:
    """Make a folder below a job directory, and those above it.

    Raises:
        OSError: As `held_path`.
    """
    if path == root or root in path.parents:
        os.close(open_folder(path, root=root, make=True))
    else:
        path.mkdir(parents=True, exist_ok=True)


def open_own(path: Path, flags: int, *, root: Path, make: bool = True) -> int:
    """Open one of this program's own files below a job directory. A command may have put something in its place.

    Args:
        path: The file.
        flags: Of `os.open`.
        root: The job directory, without links in its path.
        make: Make the file, and its folders, if they are missing.

    Returns:
        A file descriptor, which no child inherits.

    Raises:
        OSError: As `held_path`; or the file is a link, no regular file, or is to be written and has a second name.
    """
    with held_path(path, root=root, make=make) as held:
        # A pipe would be waited for; O_TRUNC would empty a file before anybody has looked at it.
        opening = (flags & ~os.O_TRUNC) | (os.O_CREAT if make else 0) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(held, opening, 0o644)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "No regular file", str(path))
        if found.st_nlink > 1 and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EINVAL, "It has a second name (a hard link), whose file would be changed", str(path))
        if flags & os.O_TRUNC:
            os.ftruncate(file, 0)
    except BaseException:
        os.close(file)
        raise
    return file


def read_own(path: Path, *, root: Path) -> bytes:
    """Read one of this program's own files below a job directory.

    Raises:
        OSError: As `open_own`; or it is larger than any that this program writes.
    """
    with os.fdopen(open_own(path, os.O_RDONLY, root=root, make=False), "rb") as file:
        data = file.read(MOST_OWN_BYTES + 1)
    if len(data) > MOST_OWN_BYTES:
        raise OSError(errno.EFBIG, "Larger than any file that this program writes there", str(path))
    return data
