"""Give an output a file of its own: a file with further names can be changed through each of them."""

import os
import shutil
import stat
from pathlib import Path

from helios.errors import OutputError


def is_shared(path: Path) -> bool:
    """Whether a path is a symbolic link, has several names, or is not a regular file; False if it does not exist."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_nlink > 1


def make_own(path: Path, beside: Path) -> None:
    """Replace a link by a copy of what it leads to.

    Args:
        path: The link.
        beside: Where the copy is written first, in the same folder.

    Raises:
        OutputError: It leads to no file.
        OSError: There is no room for the copy.
    """
    if path.is_dir() and not path.is_symlink():
        return  # verification reports it
    if not path.is_file():
        target = f"a link to {os.readlink(path)}, which is no file" if path.is_symlink() else "no regular file"
        raise OutputError(f"{path.name} is {target}; expected a video file")
    try:
        shutil.copyfile(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
