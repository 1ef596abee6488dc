"""Errors of the system and of the interpreter that a user's words can cause, as one of ours.

Whoever stands at an edge asks here: the command line, and the flow. So a path that is too long, a link that leads to
itself or an address with a space in it is one line wherever it is met, and no place of the code has to think of it.
"""

import errno
import os

from helios.errors import HeliosError, RequestError, WorkerUnavailableError, file_system_error

_LOOP = "Symlink loop"
"""Begins the error of pathlib up to Python 3.12 for links that lead to each other."""
_NO_ADDRESS = ("Invalid IPv6 URL", "netloc ", "Port ", "Unknown scheme for proxy")
"""Begin the errors of urllib.parse and of the HTTP client about addresses."""
LONGEST = 200
"""Characters of a name that are shown."""


def expected(error: BaseException) -> HeliosError | None:
    """An error as one that is told in a line; None for one that no input explains: a fault of the program."""
    match error:
        case HeliosError():
            return error
        case OSError():
            return _of_files(error)
        case RecursionError():
            return RequestError("What was given is nested too deeply to be read; expected a few levels")
        case RuntimeError() if str(error).startswith(_LOOP):
            place = shortened(str(error).removeprefix(_LOOP).removeprefix(" from ").strip("'"))
            return RequestError(f"{place} is a link that leads back to itself; name what it should lead to")
        case MemoryError():
            return WorkerUnavailableError("There is too little memory for this; give less at a time, or more memory")
        case UnicodeError():
            return RequestError(f"A name or a text is not UTF-8 ({error}); rename it, or write it in UTF-8")
        case ValueError() if str(error).startswith(_NO_ADDRESS):
            return RequestError(f"An address can't be used ({shortened(str(error))}); mend its host and its port")
    if type(error).__name__ == "InvalidURL":  # of several libraries, which are not imported for this
        return RequestError(
            f"An address, or a name that becomes part of one, can't be used ({shortened(str(error))}); write a space "
            "as %20, and no control characters"
        )
    return None


def shortened(name: str, longest: int = LONGEST) -> str:
    """A name of which the middle is left out if it is long."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 4 :]}"


def _of_files(error: OSError) -> HeliosError:
    name = error.filename if isinstance(error.filename, str) else None
    if name is None and error.errno == errno.ENOENT and not _has_working_directory():
        return RequestError("The working directory is gone; change to one that is there")
    if error.errno == errno.ENAMETOOLONG:
        return RequestError(f"The path {shortened(name or '')} is longer than the system takes; name a shorter one")
    if error.errno == errno.ELOOP:
        return RequestError(f"{shortened(name or 'A path')} is a link that leads back to itself; "
                            "name what it should lead to")  # fmt: skip
    return file_system_error(error)


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
