"""What an error that nobody foresaw means for a request: every request has one answer, which names kind and advice."""

import errno
import sys
import traceback

from helios.errors import FULL, HeliosError, RequestError, WorkerUnavailableError

_NAMES = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP})
"""Errors of the names that a job has, which another attempt meets again."""


def failure_of(error: Exception) -> HeliosError:
    """The failure that an error is. What is not expected at all is also told in the worker's own log."""
    if isinstance(error, HeliosError):
        return error
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return WorkerUnavailableError("The worker's memory is full; give it more, or render smaller chunks")
    traceback.print_exception(error, file=sys.stderr)
    return WorkerUnavailableError(
        f"The worker met an error that it does not know ({type(error).__name__}: {error}); its log has the details. "
        "If it stays, report it"
    )


def _of_system(error: OSError) -> HeliosError:
    where = f": {error.filename}" if error.filename else ""
    reason = f"{error.strerror or error}{where}"
    if error.errno in FULL:
        return WorkerUnavailableError(f"The worker's disk is full ({reason}); give it a larger one, or make room")
    if error.errno in _NAMES:
        return RequestError(f"The worker can't use a name of the job ({reason}); rename the file")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return WorkerUnavailableError(
            f"The worker's files are not as it left them ({reason}); does something clean its folder up while it works "
            "(HELIOS_FOLDER), or does the command remove or replace what it did not make?"
        )
    return WorkerUnavailableError(f"The worker's system refused something ({reason}); look at its rights and its disk")
