"""The adapter contract as a test suite, and a fake adapter: for this project and for third parties.

    class TestMyAdapter(AdapterContract):
        @pytest.fixture
        def adapter(self) -> WorkerAdapter:
            return MyAdapter(MyConfig())

Needs pytest and pytest-asyncio (any mode). Commands are run with this interpreter; an adapter whose workers have
another one, or no shared disk, overrides the methods that make the jobs.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from helios.adapter import OutputSink, Stream, WorkerAdapter
from helios.errors import CommandStalledError, CommandTimeoutError, RequestError
from helios.models.worker import WorkerJob, WorkerResult

Handler = Callable[[WorkerJob, OutputSink | None], Awaitable[WorkerResult]]

HARD_WORDS = ["two words", "it's", 'say "hi"', "$HOME", "*", "line\nbreak", "日本", "", "--flag"]
PATIENCE_SECONDS = 120.0
"""How long the suite waits for an adapter: usually it takes a moment, but a busy machine is not a fault."""
TIMEOUTS_SECONDS = (1.0, 5.0, 25.0)
"""Tried in turn for a job that runs into its timeout: a busy machine may need longer than the first to start it."""
BEATS = 10
"""A worker that goes on shows within this many beats of another worker."""
STALL_SECONDS = 3.0
"""How long a job may give no sign of life; longer than an interpreter takes to start."""


class FakeAdapter:
    """An adapter without workers: each job is handled by a coroutine of the test.

    Args:
        handler: Takes the job and the sink, and answers; by default every job succeeds and prints nothing. A job
            with `stall_seconds` must give the sink a line within each such time: the fake looks at no file.
    """

    def __init__(self, handler: Handler | None = None) -> None:
        self._handler = handler
        self.jobs: list[WorkerJob] = []
        """Every job it was given, in order."""
        self.running = 0
        """Jobs that have not ended."""
        self.most_running = 0
        """The most jobs that ever ran at once."""

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Hand the job to the handler."""
        self.jobs.append(job)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async with asyncio.timeout(job.timeout_seconds):
                return await self._handle(job, on_output)
        except TimeoutError:
            raise CommandTimeoutError(f"{job.command} ran longer than {job.timeout_seconds:g} s") from None
        finally:
            self.running -= 1

    async def _handle(self, job: WorkerJob, on_output: OutputSink | None) -> WorkerResult:
        if self._handler is None:
            return WorkerResult(exit_code=0)
        if job.stall_seconds is None:
            return await self._handler(job, on_output)
        stall_seconds, loop = job.stall_seconds, asyncio.get_running_loop()

        def hear(stream: Stream, line: str) -> None:
            silence.reschedule(loop.time() + stall_seconds)
            if on_output is not None:
                on_output(stream, line)

        try:
            async with asyncio.timeout(stall_seconds) as silence:
                return await self._handler(job, hear)
        except TimeoutError:
            if silence.expired():
                raise CommandStalledError(f"{job.command} printed nothing for {stall_seconds:g} s") from None
            raise


class AdapterContract:
    """The contract that every adapter keeps. Subclass it, and give it an `adapter` fixture."""

    @pytest.fixture
    def adapter(self) -> WorkerAdapter:
        """The adapter under test."""
        raise NotImplementedError("give the contract suite an `adapter` fixture")

    # -- the jobs that the suite runs --

    def python(self, script: str, *args: str, timeout_seconds: float | None = None) -> WorkerJob:
        """A job that runs a Python script."""
        return WorkerJob(command=sys.executable, args=("-c", script, *args), timeout_seconds=timeout_seconds)

    def prints(self, *, stdout: list[str], stderr: list[str], exit_code: int = 0) -> WorkerJob:
        """A job that prints lines and exits."""
        script = (
            "import sys, json\n"
            "out, err, code = json.loads(sys.argv[1])\n"
            "for line in out: print(line, flush=True)\n"
            "for line in err: print(line, file=sys.stderr, flush=True)\n"
            "sys.exit(code)"
        )
        return self.python(script, json.dumps([stdout, stderr, exit_code]))

    def echoes_words(self, words: list[str]) -> WorkerJob:
        """A job that prints its arguments and the variable WORD as JSON, in ASCII."""
        script = "import sys, os, json; print(json.dumps([sys.argv[1:], os.environ.get('WORD')]))"
        return self.python(script, *words).model_copy(update={"env": {"WORD": "it's $HOME"}})

    def beats(self, file: Path, *, timeout_seconds: float | None = None) -> WorkerJob:
        """A job that appends a byte to a file every 50 ms for ever, and ignores SIGTERM."""
        script = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "while True:\n"
            "    with open(sys.argv[1], 'ab') as file: file.write(b'.')\n"
            "    time.sleep(0.05)"
        )
        return self.python(script, str(file), timeout_seconds=timeout_seconds)

    def falls_silent(self, file: Path, *, stall_seconds: float) -> WorkerJob:
        """A job that prints "begun", then goes on like `beats`, which is no sign of life: it prints nothing more."""
        script = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print('begun', flush=True)\n"
            "while True:\n"
            "    with open(sys.argv[1], 'ab') as file: file.write(b'.')\n"
            "    time.sleep(0.05)"
        )
        # With a timeout as well, for an adapter that does not know when a job stalls.
        job = self.python(script, str(file), timeout_seconds=20 * stall_seconds)
        return job.model_copy(update={"stall_seconds": stall_seconds})

    def counts_and_fails(self, file: Path) -> WorkerJob:
        """A job that appends a byte to a file and exits with 3."""
        return self.python("import sys; open(sys.argv[1], 'ab').write(b'.'); sys.exit(3)", str(file))

    def missing_program(self) -> WorkerJob:
        """A job whose program does not exist."""
        return WorkerJob(command="helios-no-such-program")

    # -- what it keeps --

    def test_offers_the_one_verb(self, adapter: WorkerAdapter) -> None:
        """The adapter is a `WorkerAdapter`."""
        assert isinstance(adapter, WorkerAdapter)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("exit_code", [0, 1, 77])
    async def test_answers_with_the_exit_code(self, adapter: WorkerAdapter, exit_code: int) -> None:
        """A command that ran gives a result, whatever its exit code, and never an exception."""
        result = await adapter.execute(self.prints(stdout=["to out"], stderr=["to err"], exit_code=exit_code))
        assert result.exit_code == exit_code
        assert "to out" in result.stdout
        assert "to err" in result.stderr
        assert result.duration_ms >= 0

    @pytest.mark.asyncio
    async def test_hands_every_line_to_the_sink(self, adapter: WorkerAdapter) -> None:
        """The sink gets each line of each stream, in order, without its line end."""
        seen: list[tuple[str, str]] = []
        out, err = ["one", "  two", "", "drei é 日本"], ["error one", "error two"]
        job = self.prints(stdout=out, stderr=err)
        await adapter.execute(job, on_output=lambda stream, line: seen.append((stream, line)))
        assert [line for stream, line in seen if stream == "stdout"] == out
        assert [line for stream, line in seen if stream == "stderr"] == err

    @pytest.mark.asyncio
    async def test_passes_words_through_untouched(self, adapter: WorkerAdapter) -> None:
        """No shell reads arguments or variables on their way."""
        result = await adapter.execute(self.echoes_words(HARD_WORDS))
        assert json.loads(result.stdout) == [HARD_WORDS, "it's $HOME"]

    @pytest.mark.asyncio
    async def test_stops_a_job_at_its_timeout(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """A job that runs longer than its timeout is stopped, and the error says so."""
        for timeout_seconds in TIMEOUTS_SECONDS:
            with pytest.raises(CommandTimeoutError):
                await adapter.execute(self.beats(tmp_path / "beat", timeout_seconds=timeout_seconds))
            if _size(tmp_path / "beat"):
                break
        await self._is_still(adapter, tmp_path / "beat")

    @pytest.mark.asyncio
    async def test_stops_a_job_that_stalls(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """A job that gives no sign of life is stopped, the error says so, and its lines are handed on."""
        seen: list[str] = []
        with pytest.raises(CommandStalledError):
            await adapter.execute(
                self.falls_silent(tmp_path / "beat", stall_seconds=STALL_SECONDS),
                on_output=lambda _stream, line: seen.append(line),
            )
        assert "begun" in seen
        await self._is_still(adapter, tmp_path / "beat")

    @pytest.mark.asyncio
    async def test_stops_a_job_that_is_cancelled(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """Cancelling the awaiting task stops the worker before the cancellation is passed on."""
        task = asyncio.create_task(adapter.execute(self.beats(tmp_path / "beat")))
        await self._has_content(tmp_path / "beat", task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE_SECONDS)
        await self._is_still(adapter, tmp_path / "beat")

    @pytest.mark.asyncio
    async def test_never_retries(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """A failing command runs once: retries are the flow's."""
        result = await adapter.execute(self.counts_and_fails(tmp_path / "count"))
        assert result.exit_code == 3
        assert (tmp_path / "count").read_bytes() == b"."

    @pytest.mark.asyncio
    async def test_refuses_a_program_that_there_is_not(self, adapter: WorkerAdapter) -> None:
        """A missing program is an error of the request, which no retry mends."""
        with pytest.raises(RequestError):
            await adapter.execute(self.missing_program())

    @pytest.mark.asyncio
    async def test_runs_jobs_side_by_side(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """One adapter runs several jobs at once."""
        tasks = [asyncio.create_task(adapter.execute(self.beats(tmp_path / name))) for name in ("first", "second")]
        try:
            for name, task in zip(("first", "second"), tasks, strict=True):
                await self._has_content(tmp_path / name, task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _has_content(file: Path, task: asyncio.Task[WorkerResult], *, beats: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _size(file) < beats:
            assert not task.done(), f"the job ended before it had written {beats} bytes: {task}"
            assert time.monotonic() < deadline, f"the job did not write {beats} bytes within {PATIENCE_SECONDS:g} s"
            await asyncio.sleep(0.02)

    async def _is_still(self, adapter: WorkerAdapter, file: Path) -> None:
        """A stopped worker writes nothing while another worker, which the adapter starts now, beats ten times.

        The other worker measures the time: on a busy machine a fixed pause can pass without a turn for either worker.
        """
        before = _size(file)
        assert before > 0, "the job did not begin, so that stopping it proves nothing"
        clock = file.with_name(f"{file.name}-of-another-worker")
        task = asyncio.create_task(adapter.execute(self.beats(clock)))
        try:
            await self._has_content(clock, task, beats=BEATS)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert _size(file) == before


def _size(file: Path) -> int:
    """A file's bytes; 0 if there is no file yet."""
    return file.stat().st_size if file.exists() else 0
