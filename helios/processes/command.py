"""Run one command to its end, whatever it does, and leave nothing of it behind."""

import asyncio
import errno
import io
import os
import shutil
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from helios.adapter import OutputSink
from helios.errors import CommandStalledError, CommandTimeoutError, RequestError, WorkerUnavailableError
from helios.models.worker import WorkerResult
from helios.processes.guardian import guardian
from helios.processes.output import TAIL_BYTES, OutputReader
from helios.processes.tree import ProcessTree

__all__ = ["DEFAULT_GRACE_SECONDS", "TAIL_BYTES", "explain_exit", "run_command"]

DEFAULT_GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
T = TypeVar("T")

STALL_LOOK_SECONDS = 1.0
"""At most this long between two looks at whether a command makes progress."""
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
    stall_seconds: float | None = None,
    output_file: Path | None = None,
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
        stall_seconds: It is stopped when for so long it prints nothing and its output file does not grow; None
            for no limit.
        output_file: The file that is to grow.
        grace_seconds: From SIGTERM to SIGKILL when it is stopped; 0 or more.
        on_output: Called with each line that it prints.

    Returns:
        Exit code (-N when signal N ended it), the bounded ends of its output, its duration.

    Raises:
        RequestError: The program or the working directory is missing or not usable.
        CommandTimeoutError: It was stopped after `timeout_seconds`.
        CommandStalledError: It was stopped after `stall_seconds` without a sign of life.
        WorkerUnavailableError: The machine could not start a process.
    """
    tree = ProcessTree()
    started = time.monotonic()
    output = _Output(on_output)
    # To the end, although it is cancelled: a start that is given up halfway leaves a process that nobody knows.
    start = _start(argv, {**(os.environ if env is None else env), **tree.environment}, cwd, output)
    try:
        try:
            tree.leader, cancelled = await _uninterrupted(start)
            if cancelled is not None:
                raise cancelled
            async with asyncio.timeout(timeout_seconds):
                await _exit(output, argv[0], stall_seconds=stall_seconds, output_file=output_file)
                if not output.closed.done():
                    # What it wrote before its exit may be in the pipes still; they stay open for as
                    # long as a process that it left behind holds them.
                    await asyncio.wait([output.closed], timeout=LINGER_SECONDS)
        except TimeoutError:
            await _stop(tree, output, grace_seconds)
            message = f"{argv[0]} ran longer than its timeout of {timeout_seconds:g} s and was stopped"
            raise CommandTimeoutError(output.explain(message)) from None
        except CommandStalledError as exc:
            await _stop(tree, output, grace_seconds)
            raise CommandStalledError(output.explain(str(exc))) from None
        except BaseException as exc:
            if tree.leader is not None or not isinstance(exc, RequestError):  # it was started, or that's not known
                await _stop(tree, output, grace_seconds)
            raise
        duration_ms = round((time.monotonic() - started) * 1000)
        if not output.closed.done() or tree.may_have_members():
            await _stop(tree, output, grace_seconds)
        output.finish()
        return WorkerResult(
            exit_code=output.exited.result(),
            stdout=output.readers[1].tail,
            stderr=output.readers[2].tail,
            duration_ms=duration_ms,
        )
    finally:
        output.close()


class _Output:
    """Feeds the command's output to its readers as it arrives, and knows its exit code."""

    def __init__(self, sink: OutputSink | None) -> None:
        loop = asyncio.get_running_loop()
        self.readers = {1: OutputReader("stdout", sink), 2: OutputReader("stderr", sink)}
        self.exited: asyncio.Future[int] = loop.create_future()
        """The exit code of the command's own process; or an error of the sink, or of who started it."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when nobody can write to the pipes any more."""
        self.received = 0
        """Bytes so far."""
        self._pipes: dict[int, asyncio.BaseTransport] = {}
        self._open = set(self.readers)
        self._sink_error: Exception | None = None

    async def connect(self, stdout: int, stderr: int) -> None:
        """Take over the reading ends of both pipes."""
        loop = asyncio.get_running_loop()
        for stream, file in ((1, stdout), (2, stderr)):
            self._pipes[stream], _ = await loop.connect_read_pipe(partial(_Pipe, self, stream), io.FileIO(file))

    def receive(self, stream: int, data: bytes) -> None:
        """Take what has arrived."""
        self.received += len(data)
        if self._sink_error is not None:
            return
        try:
            self.readers[stream].feed(data)
        except Exception as exc:  # noqa: BLE001  whatever the caller's sink raises goes back to the caller
            self._sink_error = exc
            if not self.exited.done():
                self.exited.set_exception(exc)

    def end(self, stream: int) -> None:
        """Take note that nobody can write to a stream any more."""
        self._open.discard(stream)
        if not self._open and not self.closed.done():
            self.closed.set_result(None)

    def exit(self, code: int | None) -> None:
        """Take the exit code; None if it will never be known."""
        if self.exited.done():
            return
        if code is None:
            message = "The guardian of this machine's commands died, and the command was stopped"
            self.exited.set_exception(WorkerUnavailableError(message))
        else:
            self.exited.set_result(code)

    def close(self) -> None:
        """Stop reading."""
        for pipe in self._pipes.values():
            pipe.close()
        if self.exited.done() and not self.exited.cancelled():
            self.exited.exception()  # looked at, so that asyncio does not complain of one that came late

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


class _Pipe(asyncio.Protocol):
    """One of the command's two streams."""

    def __init__(self, output: _Output, stream: int) -> None:
        self._output = output
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        self._output.receive(self._stream, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._output.end(self._stream)


async def _start(argv: Sequence[str], env: Mapping[str, str], cwd: str | Path | None, output: _Output) -> int:
    """Start a command whose output is read; return its process id."""
    files: list[int] = []
    try:
        files += os.pipe()
        files += os.pipe()
        stdout, stdout_end, stderr, stderr_end = files
        pid = await guardian().start(
            argv, executable=_find(argv[0], env.get("PATH")), env=env, cwd=cwd,
            output=(stdout_end, stderr_end), on_exit=output.exit,
        )  # fmt: skip
        files = [stdout_end, stderr_end]
        await output.connect(stdout, stderr)
    except (OSError, ValueError) as exc:
        raise _start_error(argv[0], exc, env=env, cwd=cwd) from exc
    finally:
        for file in files:
            os.close(file)
    return pid


async def _exit(output: _Output, name: str, *, stall_seconds: float | None, output_file: Path | None) -> None:
    """Wait for the command's exit.

    Raises:
        CommandStalledError: It printed nothing and its output file did not grow for too long.
    """
    if stall_seconds is None:
        await output.exited
        return
    pause = min(stall_seconds / 4, STALL_LOOK_SECONDS)
    idle, before = 0.0, (-1, -1)
    while not (await asyncio.wait([output.exited], timeout=pause))[0]:
        now = (output.received, _size(output_file))
        # Counted in looks rather than by the clock: a process that was stopped for a while has seen nothing.
        idle, before = (idle + pause if now == before else 0.0), now
        if idle >= stall_seconds:
            grew = f" and {output_file.name} did not change" if output_file else ""
            raise CommandStalledError(f"{name} printed nothing{grew} for {stall_seconds:g} s, and was stopped")
    output.exited.result()


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path else 0
    except OSError:
        return 0


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
