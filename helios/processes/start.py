"""Start a command through the guardian, and say what kept it from starting."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from helios.errors import RequestError, WorkerUnavailableError
from helios.processes.command_output import CommandOutput
from helios.processes.command_user import CommandUser
from helios.processes.guardian import guardian
from helios.processes.own_programs import with_own_program
from helios.processes.script_text import why_not_executable
from helios.processes.tree import Started

# The machine lacks a resource that another attempt may find: processes, memory, open files.
_SHORTAGES = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETXTBSY}


async def start_command(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | Path | None,
    output: CommandOutput,
    *,
    wrapper: Sequence[str] = (),
    user: CommandUser | None = None,
) -> Started:
    """Start a command whose output is read; return its process id, or that of the program that wraps it."""
    files: list[int] = []
    argv = with_own_program(argv, env.get("PATH"))
    try:
        if wrapper:
            _check_program(argv[0], env.get("PATH"), cwd)
        words = [*wrapper, *argv]
        files += os.pipe()
        files += os.pipe()
        stdout, stdout_end, stderr, stderr_end = files
        started = await guardian().start(
            words, executable=_find(words[0], env.get("PATH")), env=env, cwd=cwd,
            output=(stdout_end, stderr_end), user=user, on_exit=output.exit,
        )  # fmt: skip
        files = [stdout_end, stderr_end]
        await output.connect(stdout, stderr)
    except (OSError, ValueError) as exc:
        raise _start_error(argv[0], exc, env=env, cwd=cwd) from exc
    finally:
        for file in files:
            os.close(file)
    return started


@lru_cache(maxsize=256)
def _find(program: str, path: str | None) -> str:
    """Look a program up once: trying every folder of PATH costs each start as many failed system calls."""
    if "/" in program:
        return program
    return shutil.which(program, path=path) or program


def _check_program(program: str, path: str | None, cwd: str | Path | None) -> None:
    """Refuse a program as the system would: the program that wraps it could only exit with a code of its own.

    Raises:
        OSError: There is no such program, or it is not executable.
    """
    found = _find(program, path)
    place = os.path.join(cwd or ".", found)
    if "/" not in found or not os.path.exists(place):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if os.path.isdir(place) or not os.access(place, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _start_error(
    program: str, exc: OSError | ValueError, *, env: Mapping[str, str], cwd: str | Path | None
) -> RequestError | WorkerUnavailableError:
    """Say what kept a command from starting."""
    code = exc.errno if isinstance(exc, OSError) else None
    if code in _SHORTAGES:
        return WorkerUnavailableError(f"{program} could not be started: {os.strerror(code or 0)}")
    if cwd is not None and not Path(cwd).is_dir():
        return RequestError(f"The working directory {cwd} is not a directory; create it, or name another one")
    if code == errno.ENOENT and (problem := _interpreter_problem(program, env.get("PATH"), cwd)) is not None:
        return RequestError(problem)
    if code == errno.ENOENT and ("/" in program or shutil.which(program, path=env.get("PATH")) is None):
        return RequestError(f"The program {program!r} was not found; install it, or put its folder on PATH")
    if code == errno.ENOEXEC:
        return RequestError(why_not_executable(os.path.join(cwd or ".", _find(program, env.get("PATH"))), program))
    if code == errno.EACCES:
        return RequestError(f"The program {program!r} is not executable; make it so (chmod +x), or name another")
    reason = os.strerror(code) if code is not None else exc
    return RequestError(f"The program {program!r} cannot be run: {reason}")


def _interpreter_problem(program: str, path: str | None, cwd: str | Path | None) -> str | None:
    """Why a script that is there can't be run: the system says of its interpreter that the script is not there."""
    place = os.path.join(cwd or ".", _find(program, path))
    try:
        with open(place, "rb") as file:
            first = file.readline(256)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return f"The program {program!r} is there, but not what it needs to run: is it for another system or processor?"
    line = first[2:].rstrip(b"\n")
    words = line.rstrip(b"\r").split()
    interpreter = os.fsdecode(words[0]) if words else ""
    if line.endswith(b"\r"):
        return (
            f"The interpreter line of {program!r} ends in \\r, as files from Windows have it, so that {interpreter} "
            f"with \\r at its end is looked for; write the file with line ends of Unix (dos2unix {program})"
        )
    return f"The interpreter {interpreter!r} of {program!r} was not found; install it, or mend the script's first line"
