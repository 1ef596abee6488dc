"""Run one command to its end, whatever it does, and leave none of its processes behind."""

import asyncio
import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from helios.adapter import OutputSink
from helios.errors import CommandStalledError, CommandTimeoutError, RequestError
from helios.models.worker import WorkerResult
from helios.processes.command_output import CommandOutput
from helios.processes.command_user import CommandUser
from helios.processes.environment import clean_environment
from helios.processes.start import start_command
from helios.processes.tree import ProcessTree, Started

DEFAULT_GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
T = TypeVar("T")

STALL_LOOK_SECONDS = 1.0
"""At most this long between two looks at whether a command makes progress."""
LINGER_SECONDS = 0.1
"""How long a process left behind may hold the pipes after the command's exit, before it is ended."""
DRAIN_SECONDS = 1.0
"""How long output may still arrive once every process that could write it is gone."""


async def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    wrapper: Sequence[str] = (),
    user: CommandUser | None = None,
    timeout_seconds: float | None = None,
    stall_seconds: float | None = None,
    output_file: Path | None = None,
    grace_seconds: float = DEFAULT_GRACE_SECONDS,
    on_output: OutputSink | None = None,
) -> WorkerResult:
    """Run a command without a shell, in a session of its own, and wait for its end.

    When this returns or raises, every process that it started is gone, also those that left its session or outlived it.

    Args:
        argv: Program and arguments.
        env: Its whole environment; when None, what `clean_environment` selects of this process's.
        cwd: Its working directory.
        wrapper: Words of a program that runs the command and ends with it, such as those of a sandbox.
        user: As whom it runs; None for this process's user.
        timeout_seconds: It is stopped when it runs longer; None for no limit.
        stall_seconds: It is stopped when it prints nothing, and its output file does not grow, for this long; or None.
        output_file: The file that is to grow.
        grace_seconds: From SIGTERM to SIGKILL when it is stopped; 0 or more.
        on_output: Called with each line that it prints.

    Returns:
        Exit code (-N when signal N ended it), the bounded ends of its output, its duration.

    Raises:
        RequestError: The program or the working directory is missing or not usable.
        CommandTimeoutError, CommandStalledError: It was stopped after `timeout_seconds`, or `stall_seconds`.
        WorkerUnavailableError: The machine could not start a process.
    """
    tree, output, started = ProcessTree(), CommandOutput(on_output), time.monotonic()
    environment = {**(clean_environment() if env is None else env), **tree.environment}
    try:
        try:
            await _begin(tree, start_command(argv, environment, cwd, output, wrapper=wrapper, user=user))
            async with asyncio.timeout(timeout_seconds):
                await _end(output, argv[0], stall_seconds=stall_seconds, output_file=output_file)
        except TimeoutError:
            await _stop(tree, output, grace_seconds)
            message = f"{argv[0]} ran longer than its timeout of {timeout_seconds:g} s and was stopped"
            raise CommandTimeoutError(output.explain_stop(message)) from None
        except CommandStalledError as exc:
            await _stop(tree, output, grace_seconds)
            raise CommandStalledError(output.explain_stop(str(exc))) from None
        except BaseException as exc:
            if tree.leader is not None or not isinstance(exc, RequestError):  # it was started, or may have been
                await _stop(tree, output, grace_seconds)
            raise
        duration_ms = round((time.monotonic() - started) * 1000)
        await _settle(tree, output, grace_seconds)
        return output.result(duration_ms=duration_ms)
    finally:
        output.close()


async def _begin(tree: ProcessTree, start: Coroutine[Any, Any, Started]) -> None:
    """Start the command, also when this is cancelled meanwhile: half a start would leave an unknown process behind."""
    started, cancelled = await _uninterrupted(start)
    tree.own(started)
    if cancelled is not None:
        raise cancelled


async def _settle(tree: ProcessTree, output: CommandOutput, grace_seconds: float) -> None:
    """End the processes that a command has left behind, and hand on the last of its output."""
    if not output.closed.done() or tree.may_have_members():
        await _stop(tree, output, grace_seconds)
    output.finish()


async def _end(output: CommandOutput, name: str, *, stall_seconds: float | None, output_file: Path | None) -> None:
    """Wait for the command's exit, and a moment longer for what it wrote before."""
    await _exit(output, name, stall_seconds=stall_seconds, output_file=output_file)
    if not output.closed.done():
        # What it wrote before its exit may be in the pipes still; they stay open for as long as a process that it left
        # behind holds them.
        await asyncio.wait([output.closed], timeout=LINGER_SECONDS)


async def _exit(output: CommandOutput, name: str, *, stall_seconds: float | None, output_file: Path | None) -> None:
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
        # Counted in looks and not by the clock, since a process that was stopped for a while has missed signs of life.
        idle, before = (idle + pause if now == before else 0.0), now
        if idle >= stall_seconds:
            grew = f" and {output_file.name} did not change" if output_file else ""
            raise CommandStalledError(f"{name} printed nothing{grew} for {stall_seconds:g} s, and was stopped")
    output.exited.result()


def _size(path: Path | None) -> int:
    """The size of a file; of a folder that of all files in it, since images are written one after the other."""
    try:
        if path is None or not path.is_dir():
            return path.stat().st_size if path else 0
        with os.scandir(path) as entries:
            return sum(entry.stat().st_size for entry in entries)
    except OSError:
        return 0


async def _stop(tree: ProcessTree, output: CommandOutput, grace_seconds: float) -> None:
    """End the whole tree and take the rest of the output from the pipes, also when this is cancelled meanwhile."""

    async def stop() -> None:
        output.stopping()
        await tree.end(grace_seconds=grace_seconds)
        await asyncio.wait([output.closed], timeout=DRAIN_SECONDS)
        output.hand_on_the_rest()

    _, cancelled = await _uninterrupted(stop())
    if cancelled is not None:
        raise cancelled


async def _uninterrupted(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """Await to the end, although the awaiting task is cancelled meanwhile; return the cancellation too."""
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
