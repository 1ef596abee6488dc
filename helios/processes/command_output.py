"""A command's output while it runs: what its two pipes bring, and its exit code."""

import asyncio
import io
import re
from collections.abc import Sequence
from functools import partial

from helios.adapter import OutputSink
from helios.errors import WorkerUnavailableError
from helios.models.worker import WorkerResult
from helios.processes.output import OutputReader
from helios.processes.telling_lines import has_errors, telling_lines

_WORD_OF_A_SHELL = re.compile(r"^(\S+: line \d+: +\d+ )?(Terminated|Killed)( .*)?$")
"""What dash and bash print when their child was ended before them."""


class CommandOutput:
    """Feeds the command's output to its readers as it arrives, and knows its exit code."""

    def __init__(self, sink: OutputSink | None) -> None:
        loop = asyncio.get_running_loop()
        self.readers = {1: OutputReader("stdout", sink), 2: OutputReader("stderr", sink)}
        self.exited: asyncio.Future[int] = loop.create_future()
        """The exit code of the command's own process; or an error of the sink, or of the guardian."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when no process can write to the pipes any more."""
        self.received = 0
        """Bytes so far."""
        self._pipes: dict[int, asyncio.BaseTransport] = {}
        self._open = set(self.readers)
        self._sink_error: Exception | None = None
        self._errors_before_stop = ""

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
        """Note that no process can write to a stream any more."""
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
            self.exited.exception()  # read here, so that asyncio does not warn about a late error

    def stopping(self) -> None:
        """Note that the command is being stopped: what its shell says of that is not the command's word."""
        self._errors_before_stop = self.readers[2].tail

    def hand_on_the_rest(self) -> None:
        """Hand on the unfinished last lines, once nothing else comes."""
        if self._sink_error is not None:
            return
        try:
            for reader in self.readers.values():
                reader.close()
        except Exception as exc:  # noqa: BLE001  whatever the caller's sink raises goes back to the caller
            self._sink_error = exc

    def finish(self) -> None:
        """Hand on the unfinished last lines, and raise what the sink raised after the exit."""
        self.hand_on_the_rest()
        if self._sink_error is not None:
            raise self._sink_error

    def result(self, *, duration_ms: int) -> WorkerResult:
        """How the command ended, once it has."""
        return WorkerResult(
            exit_code=self.exited.result(),
            stdout=self.readers[1].tail,
            stderr=self.readers[2].tail,
            duration_ms=duration_ms,
        )

    def explain_stop(self, message: str) -> str:
        """Append what a stopped command said last, on both streams, to a message.

        How far it came is on one of them, and why it came no further may be on the other.
        """
        said = [text for text in (self.readers[1].tail, self._errors()) if text.strip()]
        chosen = [telling_lines(text, lines=5 if len(said) == 1 else 3) for text in said]
        found = [line for lines, _ in chosen for line in lines]
        return _with_lines(message, found, are_last=all(are_last for _, are_last in chosen))

    def _errors(self) -> str:
        """The end of stderr, without what a shell said of the stop."""
        tail, before = self.readers[2].tail, self._errors_before_stop
        kept = before if tail.startswith(before) else ""
        late = tail[len(kept) :].splitlines(keepends=True)
        return kept + "".join(line for line in late if not _WORD_OF_A_SHELL.match(line.rstrip()))


def explain_exit(name: str, ended: WorkerResult) -> str:
    """Say how a command that failed ended, with the lines of its output that tell why."""
    how = f"exited with code {ended.exit_code}" if ended.exit_code > 0 else f"was ended by signal {-ended.exit_code}"
    is_silent = not ended.stderr.strip() or (not has_errors(ended.stderr) and has_errors(ended.stdout))
    found, are_last = telling_lines(ended.stdout if is_silent else ended.stderr)
    return _with_lines(f"{name} {how}", found, are_last=are_last)


def _with_lines(message: str, found: Sequence[str], *, are_last: bool) -> str:
    """Append lines of a command's output to a message about it."""
    if not found:
        return f"{message}; it printed nothing"
    return "\n  ".join([f"{message}. Its {'last lines' if are_last else 'lines that matter'}:", *found])


class _Pipe(asyncio.Protocol):
    """One of the command's two streams."""

    def __init__(self, output: CommandOutput, stream: int) -> None:
        self._output = output
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        self._output.receive(self._stream, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._output.end(self._stream)
