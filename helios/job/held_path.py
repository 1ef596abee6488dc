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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLES = "/proc/self/fd"


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
    through = f"{_HANDLES}/{folder}"
    try:
        yield Path(through, path.name)
    except OSError as exc:
        for attribute in ("filename", "filename2"):  # people know the file by its own path
            named = getattr(exc, attribute, None)
            if isinstance(named, str) and named.startswith(f"{through}/"):
                setattr(exc, attribute, str(path.parent) + named[len(through) :])
        raise
    finally:
        os.close(folder)


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


def open_own(path: Path, flags: int, *, root: Path) -> int:
    """Open one of this program's own files below a job directory, and make it and its folders if they are missing.

    Returns:
        A file descriptor, which no child inherits.

    Raises:
        OSError: As `held_path`; or the file is a link.
    """
    with held_path(path, root=root, make=True) as held:
        return os.open(held, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
