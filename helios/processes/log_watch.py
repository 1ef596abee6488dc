"""Watch what a command prints, by rules: stop it when it says that it failed, and know how far it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from re import Pattern

from helios.adapter import OutputSink, Stream
from helios.errors import CommandError, HeliosError, WorkerUnavailableError
from helios.models.log_rules import LogRules, line_expression
from helios.models.spec import RenderJobChunk
from helios.models.worker import WorkerResult
from helios.processes.command_output import explain_exit

LONGEST_LINE = 500
"""Characters of a line that are looked at."""
SETTLE_SECONDS = 1.0
"""How long a command may go on after a line that means failure, to say why."""
LINES_AFTER = 5
"""Lines after such a line that go into the message."""
MOST_WARNINGS = 10
"""Of one attempt; a further one is most often the same again."""


def _ignore(_: object) -> None:
    """Take what nobody asked for."""


@lru_cache(maxsize=16)
def _expressions(rules: LogRules) -> dict[str, tuple[tuple[str, Pattern[str]], ...]]:
    """Of each kind of line the patterns, with their expressions."""
    kinds = ("failure", "environment", "warning", "progress")
    return {kind: tuple((one, line_expression(one)) for one in getattr(rules, kind)) for kind in kinds}


class LogWatch:
    """An `OutputSink` that looks at each line before it hands it on.

    Args:
        rules: What lines mean.
        name: The program's, for messages.
        chunk: What is rendered; None where progress does not matter.
        sink: Gets every line; None for nobody.
        on_progress: Called with the number of frames done, whenever it grows.
        on_warning: Called with a line that is a warning, once for each text.
        on_failure: Called once, with the first line that means failure.
    """

    def __init__(
        self,
        rules: LogRules,
        *,
        name: str,
        chunk: RenderJobChunk | None = None,
        sink: OutputSink | None = None,
        on_progress: Callable[[int], None] = _ignore,
        on_warning: Callable[[str], None] = _ignore,
        on_failure: Callable[[str], None] = _ignore,
    ) -> None:
        self._rules, self._name, self._chunk, self._sink = rules, name, chunk, sink
        self._on_progress, self._on_warning, self._on_failure = on_progress, on_warning, on_failure
        self._expressions = _expressions(rules)
        self._done = 0
        self._warned: set[str] = set()
        self._kind: type[HeliosError] | None = None
        self._pattern = ""
        self._lines: list[str] = []

    @property
    def error(self) -> HeliosError | None:
        """What the command said of its failure; None if it said nothing."""
        if self._kind is None:
            return None
        what = "its machine has failed" if self._kind is WorkerUnavailableError else "it has failed"
        said = "\n  ".join([f"{self._name} said that {what} (by the log rule {self._pattern!r}):", *self._lines])
        return self._kind(said)

    def __call__(self, stream: Stream, line: str) -> None:
        """Look at a line."""
        if self._sink is not None:
            self._sink(stream, line)
        text = line.strip()[:LONGEST_LINE]
        if self._kind is not None:
            if len(self._lines) <= LINES_AFTER and text:
                self._lines.append(text)
            return
        for kind, error in (("environment", WorkerUnavailableError), ("failure", CommandError)):
            if (pattern := self._match(kind, text)) is not None:
                self._kind, self._pattern, self._lines = error, pattern, [text]
                self._on_failure(text)
                return
        if self._match("warning", text) is not None and text not in self._warned:
            self._warned.add(text)
            if len(self._warned) <= MOST_WARNINGS:
                self._on_warning(text)
        self._advance(text)

    def checked(self, ended: WorkerResult) -> WorkerResult:
        """How a command ended, where the rules have nothing against it.

        Raises:
            HeliosError: It has failed, whatever its exit code says.
        """
        if (error := self.error) is not None:
            raise error
        if ended.exit_code in self._rules.environment_codes:
            raise WorkerUnavailableError(f"The machine has failed, by its exit code: {explain_exit(self._name, ended)}")
        return ended

    def _match(self, kind: str, text: str) -> str | None:
        return next((one for one, expression in self._expressions[kind] if expression.fullmatch(text)), None)

    def _advance(self, text: str) -> None:
        if self._chunk is None:
            return
        for _, expression in self._expressions["progress"]:
            if found := expression.fullmatch(text):
                (field, number), *_ = ((name, int(value)) for name, value in found.groupdict().items() if value)
                done = number - self._chunk.start_frame if field == "frame" else number
                done = number * self._chunk.frame_count // 100 if field == "percent" else done
                if self._done < (done := min(done, self._chunk.frame_count)):
                    self._done = done
                    self._on_progress(done)
                return


@asynccontextmanager
async def watched(
    rules: LogRules,
    *,
    name: str,
    chunk: RenderJobChunk | None = None,
    sink: OutputSink | None = None,
    on_progress: Callable[[int], None] = _ignore,
    on_warning: Callable[[str], None] = _ignore,
) -> AsyncIterator[LogWatch]:
    """Watch a command that runs within the block: it is stopped a moment after it has said that it failed.

    Raises:
        HeliosError: It said so; of the kind that the rule has.
    """
    loop = asyncio.get_running_loop()
    watch: LogWatch | None = None
    try:
        async with asyncio.timeout(None) as deadline:
            watch = LogWatch(
                rules,
                name=name,
                chunk=chunk,
                sink=sink,
                on_progress=on_progress,
                on_warning=on_warning,
                on_failure=lambda _: deadline.reschedule(loop.time() + SETTLE_SECONDS),
            )
            yield watch
    except TimeoutError:
        if deadline.expired() and watch is not None and watch.error is not None:
            raise watch.error from None
        raise
