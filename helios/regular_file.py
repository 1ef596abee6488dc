"""Open a file that somebody else may have put there: a pipe would be waited for, and a device has no end."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotRegularError(OSError):
    """What has the name is no regular file."""


def open_regular(path: str | Path) -> BufferedReader:
    """Open a file to read it, following links.

    Raises:
        NotRegularError: It is a pipe, a device, or the like.
        OSError: It can't be read; a directory can't.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(file).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise NotRegularError(errno.EINVAL, "No regular file", str(path))
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise
