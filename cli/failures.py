"""Why a command ends, in one line, for every error there is: the one place where errors become words and exit codes.

An error that nothing explains is a fault of this program: its traceback goes into a file, which the line names.
"""

import errno
import os
import tempfile
import traceback

from cli.exit_codes import EXIT_FAILED, EXIT_REFUSED
from cli.server_errors import explain
from helios.errors import ExpectedError, HeliosError, RequestError
from helios.system_errors import expected, shortened

STREAM_ERRORS = {errno.ENOSPC, errno.EIO}
"""Of a standard output that takes nothing."""


def told(error: BaseException) -> tuple[str, int]:
    """What a person reads of an error that ended a command, and the command's exit code."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ExpectedError):
        # A HeliosError arrives here before a job began: the input was refused. A job's failures are in its outcome.
        return str(error), EXIT_REFUSED if isinstance(error, HeliosError) else EXIT_FAILED
    if (line := explain(error) or _explain_stream(error)) is not None:
        return line, EXIT_FAILED
    if (found := expected(error)) is not None:
        return str(found), EXIT_REFUSED if isinstance(found, RequestError) else EXIT_FAILED
    return _fault(error), EXIT_FAILED


def _explain_stream(error: BaseException) -> str | None:
    """A standard output that takes nothing, in a line; None for any other error."""
    if isinstance(error, OSError) and error.filename is None and error.errno in STREAM_ERRORS:
        return f"standard output can't be written ({error.strerror}); `helios-job list` shows how the run ended"
    return None


def _fault(error: BaseException) -> str:
    """Keep the traceback of a fault of this program, and say where it is."""
    what = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
    try:
        number, name = tempfile.mkstemp(prefix="helios-job-", suffix=".traceback")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f"{last[0].filename}, line {last[0].lineno}" if last else "an unknown place"
        return f"a fault of this program, at {place}: {what}; please report it"
    return f"a fault of this program: {what}; please report it, with {name}, which says where it was"
