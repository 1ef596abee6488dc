"""Run one command to its end, whatever it does, and leave nothing of it behind."""

import asyncio
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from helios.adapter import OutputSink
from helios.errors import CommandTimeoutError, RequestError, WorkerUnavailableError
from helios.models.worker import WorkerResult
from helios.output import TAIL_BYTES, OutputReader
from helios.process_tree import ProcessTree

__all__ = ["DEFAULT_GRACE_SECONDS", "TAIL_BYTES", "explain_exit", "run_command"]

DEFAULT_GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
T = TypeVar("T")

LINGER_SECONDS = 0.1
"""How long a process left behind may hold the pipes after the command's exit, before it is ended."""
DRAIN_SECONDS = 1.0
"""How long output may still arrive once every process that could write it is gone."""

# The machine is short of something that another attempt may find: processes, memory, open files.
_SHORTAGES = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETXTBSY}


async def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout_seconds: float | None = None,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    on_output: OutputSink | None = None,
) -> WorkerResult:
    """Run a command without a shell, in a session of its own, and wait for its end.

    When this returns or raises, every process that the command started is gone, also those that left
    its session or outlived it.

    Args:
        argv: Program and arguments.
        env: Its whole environment; this process's own when None.
        cwd: Its working directory.
        timeout_seconds: It is stopped when it runs longer; None for no limit.
        grace_seconds: From SIGTERM to SIGKILL when it is stopped; 0 or more.
        on_output: Called with each line that it prints.

    Returns:
        Exit code (-N when signal N ended it), the bounded ends of its output, its duration.

    Raises:
        RequestError: The program or the working directory is missing or not usable.
        CommandTimeoutError: It was stopped after `timeout_seconds`.
        WorkerUnavailableError: The machine could not start a process.
    """
    tree = ProcessTree()
    started = time.monotonic()
    # To the end, although it is cancelled: asyncio's own clean-up of a start that was cancelled kills the
    # command alone, and waits for whoever else holds its pipes.
    (transport, output), cancelled = await _uninterrupted(
        _start(argv, {**(os.environ if env is None else env), **tree.environment}, cwd, on_output)
    )
    tree.leader = transport.get_pid()
    try:
        try:
            if cancelled is not None:
                raise cancelled
            async with asyncio.timeout(timeout_seconds):
                await output.exited
                if not output.closed.done():
                    # What it wrote before its exit may be in the pipes still; they stay open for as
                    # long as a process that it left behind holds them.
                    await asyncio.wait([output.closed], timeout=LINGER_SECONDS)
        except TimeoutError:
            await _stop(tree, output, grace_seconds)
            message = f"{argv[0]} ran longer than its timeout of {timeout_seconds:g} s and was stopped"
            raise CommandTimeoutError(output.explain(message)) from None
        except BaseException:
            await _stop(tree, output, grace_seconds)
            raise
        duration_ms = round((time.monotonic() - started) * 1000)
        if not output.closed.done() or tree.may_have_members():
            await _stop(tree, output, grace_seconds)
        output.finish()
        return WorkerResult(
            exit_code=transport.get_returncode() or 0,
            stdout=output.readers[1].tail,
            stderr=output.readers[2].tail,
            duration_ms=duration_ms,
        )
    finally:
        transport.close()


class _Output(asyncio.SubprocessProtocol):
    """Feeds the command's output to its readers as it arrives.

    A protocol of our own, since asyncio's `Process.wait` waits for the pipes too (until Python 3.12),
    and its stream readers copy what is only passed through here.
    """

    def __init__(self, sink: OutputSink | None) -> None:
        loop = asyncio.get_running_loop()
        self.readers = {1: OutputReader("stdout", sink), 2: OutputReader("stderr", sink)}
        self.exited: asyncio.Future[None] = loop.create_future()
        """Done when the command's own process has exited; carries an error of the sink."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when nobody can write to the pipes any more."""
        self._open = set(self.readers)
        self._sink_error: Exception | None = None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._sink_error is not None:
            return
        try:
            self.readers[fd].feed(data)
        except Exception as exc:  # noqa: BLE001  whatever the caller's sink raises goes back to the caller
            self._sink_error = exc
            if not self.exited.done():
                self.exited.set_exception(exc)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open and not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def finish(self) -> None:
        """Hand on an unfinished last line, and raise what the sink raised after the exit."""
        if self._sink_error is not None:
            raise self._sink_error
        for reader in self.readers.values():
            reader.close()

    def explain(self, message: str) -> str:
        """Append the last lines of the output to a message."""
        return _with_last_lines(message, self.readers[2].tail or self.readers[1].tail)


def explain_exit(name: str, ended: WorkerResult) -> str:
    """Say how a command that failed ended, with the last lines of its output."""
    how = f"exited with code {ended.exit_code}" if ended.exit_code > 0 else f"was ended by signal {-ended.exit_code}"
    return _with_last_lines(f"{name} {how}", ended.stderr or ended.stdout)


def _with_last_lines(message: str, text: str, *, lines: int = 5) -> str:
    """Append the end of a command's output to a message about it."""
    last = text.strip().splitlines()[-lines:]
    if not last:
        return f"{message}; it printed nothing"
    return "\n  ".join([f"{message}. Its last lines:", *last])


async def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | Path | None, sink: OutputSink | None
) -> tuple[asyncio.SubprocessTransport, _Output]:
    loop = asyncio.get_running_loop()
    try:
        return await loop.subprocess_exec(
            lambda: _Output(sink), *argv,
            env=env, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True,
            executable=_find(argv[0], env.get("PATH")),
            # Python's own files close themselves on exec (PEP 446). Closing each of them once more, between
            # fork and exec, is most of what a start costs a process with many open.
            close_fds=False,
        )  # fmt: skip
    except (OSError, ValueError) as exc:
        raise _start_error(argv[0], exc, env=env, cwd=cwd) from exc


@lru_cache(maxsize=256)
def _find(program: str, path: str | None) -> str:
    """Look a program up once: trying every folder of PATH costs each start as many failed system calls."""
    if "/" in program:
        return program
    return shutil.which(program, path=path) or program


def _start_error(
    program: str, exc: OSError | ValueError, *, env: Mapping[str, str], cwd: str | Path | None
) -> RequestError | WorkerUnavailableError:
    """Say what kept a command from starting."""
    code = exc.errno if isinstance(exc, OSError) else None
    if code in _SHORTAGES:
        return WorkerUnavailableError(f"{program} could not be started: {os.strerror(code or 0)}")
    if cwd is not None and not Path(cwd).is_dir():
        return RequestError(f"The working directory {cwd} is not a directory; create it, or name another one")
    if code == errno.ENOENT and ("/" in program or shutil.which(program, path=env.get("PATH")) is None):
        return RequestError(f"The program {program!r} was not found; install it, or put its folder on PATH")
    if code == errno.EACCES:
        return RequestError(f"The program {program!r} is not executable; make it so (chmod +x), or name another")
    reason = os.strerror(code) if code is not None else exc
    return RequestError(f"The program {program!r} cannot be run: {reason}")


async def _stop(tree: ProcessTree, output: _Output, grace_seconds: float) -> None:
    """End the whole tree and take what is left in the pipes, also when this is cancelled meanwhile."""

    async def stop() -> None:
        await tree.end(grace_seconds=grace_seconds)
        await asyncio.wait([output.closed], timeout=DRAIN_SECONDS)

    _, cancelled = await _uninterrupted(stop())
    if cancelled is not None:
        raise cancelled


async def _uninterrupted(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Await to the end, although the awaiting task is cancelled meanwhile; say so then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
        except Exception:  # noqa: BLE001  raised by the result below
            break
    return task.result(), cancelled
