"""What adapters share whose workers are elsewhere: the request, a lost answer, a cancellation, the command's output."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from helios.adapter import OutputSink
from helios.diagnosis import Finding, find
from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.job.attempts import AttemptRecord, attempt_url
from helios.late_errors import ignore_late_error
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.models.worker import WorkerJob, WorkerResult
from helios.processes.output import TAIL_BYTES
from helios.storage.folder import SMALL_BYTES, Storage
from helios.storage.stores import StorageSettings
from helios.usage import UNBILLED

STARTS_AT_ONCE = 2
"""Requests that are made and sent at a time. A thousand chunks that come together would otherwise keep the event
loop waiting for a second; and requests that start one after the other are also answered one after the other."""
ROUND_TRIP_SECONDS = 120.0
"""How long a worker may take to answer a question about itself; a cluster may have to start it first."""
CANCEL_SECONDS = 20.0
"""How long a worker that was called off may take to say that it has stopped."""


def _from_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


GivenStorage = Annotated[StorageSettings, BeforeValidator(_from_url)]
"""A storage's URL, or its settings."""


class RemoteSettings(BaseModel):
    """The settings that every adapter has whose workers are elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    assets: tuple[str, ...] | None = None
    """Glob patterns of the job's input files, relative to the job directory. Empty: all files but outputs."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables for every command."""
    keep_objects: bool = False
    """Leave chunk outputs, logs and documents in storage after the job's success."""
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """The most chunks on workers at a time, over all jobs of this process."""
    concurrency_limit: Annotated[str, Field(min_length=1)] | None = None
    """Name of a global concurrency limit in Prefect, which bounds the chunks in flight over all jobs. By default
    `helios-` and the adapter's name; no bound where there is none of that name."""
    answer_wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """When the connection to a worker is lost, how long to look for its recorded answer before rendering again."""


class RemoteAdapterConfig(RemoteSettings):
    """The settings of an adapter that needs artifact storage."""

    storage: GivenStorage
    """Where jobs, input files and outputs are kept: a URL (`s3://BUCKET/PREFIX`), or its settings."""


class AnswerLostError(WorkerUnavailableError):
    """A worker took the chunk on, and its answer did not arrive; it may be recorded in storage.

    Args:
        message: What happened.
        instead: What to raise if there is no recorded answer; this error itself when None.
        wait: Whether the worker may still be working on the chunk.
    """

    def __init__(self, message: str, *, instead: HeliosError | None = None, wait: bool = False) -> None:
        super().__init__(message)
        self.instead = instead
        self.wait = wait


class RemoteAdapter:
    """Base of adapters over storage. A child sends requests: `_send`.

    Args:
        config: Its configuration.
        place: How messages call the worker: `the function render`.
        storage: Where jobs and outputs are kept.
    """

    def __init__(self, config: RemoteSettings, *, place: str, storage: Storage) -> None:
        self._remote = config
        self._place = place
        self.storage = storage
        """Where jobs and outputs are kept."""
        self.assets = config.assets
        """Glob patterns of input files."""
        self.named_variables = config.env
        """The variables that the configuration names."""
        self.keep_objects = config.keep_objects
        """Whether objects stay after success."""
        self.max_in_flight = config.max_in_flight
        """The most chunks on workers at a time."""
        self._slots = asyncio.Semaphore(config.max_in_flight)
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Have the chunk rendered and wait for its end; see `helios.adapter.WorkerAdapter`."""
        if job.job_url is None:
            raise RequestError(
                f"{PurePath(job.command).name} can't run on {self._place}: only chunks of a job in storage can; "
                "a job's merge command runs on this machine (merge adapter: local)"
            )
        async with self._slots:
            async with self._starts:
                await asyncio.sleep(0)  # let other work in the event loop go first
                record = AttemptRecord(self.storage, attempt_url(job.job_url, job.attempt))
                request = ChunkRequest(
                    job_path=job.job_url,
                    chunk_index=job.chunk_index,
                    attempt_url=record.url,
                    env={**self._remote.env, **job.env},
                    timeout_seconds=job.timeout_seconds,
                    stall_seconds=job.stall_seconds,
                    verify=job.verify,
                    requires=job.requires,
                    ranged_inputs=job.ranged_inputs,
                    log_rules=job.log_rules,
                    avoid_worker=job.avoid_worker,
                    job_name=job.job_name,
                )
            answer = await self._carry_out(request, record)
        if on_output is not None:
            await self._hand_on(answer, on_output)
        return answer.to_result(self._place)

    async def diagnose(self) -> AsyncIterator[Finding]:
        """Look at everything from here to a worker and back; see `helios.diagnosis.Diagnosable`."""
        findings = [await find("storage", self._try_storage)]
        yield findings[0]
        async for finding in self._look_around():
            findings.append(finding)
            yield finding
        if all(finding.ok for finding in findings):
            yield await find("round trip", self._round_trip)
        else:
            yield Finding("round trip", False, "not tried; it needs all of the above")

    async def _look_around(self) -> AsyncIterator[Finding]:
        """Findings of a child about its platform."""
        nothing: tuple[Finding, ...] = ()
        for finding in nothing:
            yield finding

    def _outlook(self) -> str:
        """What a child knows of why its workers are not there, to be added to a sentence."""
        return ""

    async def _try_storage(self) -> str:
        """Write, read, list and delete an object."""
        started, key = time.monotonic(), f"doctor/{uuid.uuid4().hex}"
        await self.storage.write(key, b"hello", once=True)
        if await self.storage.read(key) != b"hello" or [entry.key async for entry in self.storage.entries(key)] not in (
            [],
            [key],
        ):
            raise WorkerUnavailableError(f"{self.storage.url} does not give back what was written")
        await self.storage.delete(key)
        return (
            f"{self.storage.url}: written, read, listed and deleted in {round((time.monotonic() - started) * 1000)} ms"
        )

    async def _round_trip(self) -> str:
        """Have a worker read and write the storage, and report its version."""
        started, folder = time.monotonic(), f"jobs/doctor-{uuid.uuid4().hex}"
        await self.storage.write(f"{folder}/job.json", b"{}")
        record = AttemptRecord(self.storage, self.storage.url_of(f"{folder}/attempt-1"))
        request = ChunkRequest(job_path=self.storage.url_of(f"{folder}/job.json"), attempt_url=record.url, probe=True)
        try:
            async with asyncio.timeout(ROUND_TRIP_SECONDS):
                answer = await self._carry_out(request, record)
            answer.to_result(self._place)
        except TimeoutError:
            raise WorkerUnavailableError(
                f"no worker has answered within {ROUND_TRIP_SECONDS:g} s{self._outlook()}; look at {self._place}, and "
                "try again"
            ) from None
        finally:
            await self.storage.delete_folder(folder)
        if answer.worker is None:
            raise RequestError(f"{self._place} answers as a worker of Helios does, which keeps outputs to itself; "
                               "deploy this project's worker (deploy/)")  # fmt: skip
        who = f"worker {answer.worker.version}, protocol {answer.worker.protocol}"
        return f"{who}, reads and writes the storage; {time.monotonic() - started:.1f} s"

    async def _send(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        """Have one request carried out.

        Raises:
            AnswerLostError: A worker took it on; how it ended is not known.
            HeliosError: It was not taken on.
        """
        raise NotImplementedError

    async def _call_off(self, record: AttemptRecord) -> None:
        """Ask the worker of an attempt to stop."""
        await record.cancel()

    async def _carry_out(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        work = asyncio.create_task(self._send_and_find(request, record))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(ignore_late_error)
            try:
                # The platform goes on; it's the worker itself that stops, and answers that it has.
                with suppress(HeliosError):
                    await self._call_off(record)
                await asyncio.wait([work], timeout=CANCEL_SECONDS)
            finally:
                work.cancel()  # also where a second cancel cuts the wait short
            await asyncio.wait([work])
            raise

    async def _send_and_find(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        """Have a request carried out; an answer that was lost on its way is looked up."""
        try:
            return await self._send(request, record)
        except AnswerLostError as exc:
            return await self._recorded(record, exc)
        except HeliosError as exc:
            exc.usage = exc.usage or UNBILLED  # no worker took it on
            raise

    async def _recorded(self, record: AttemptRecord, lost: AnswerLostError) -> ChunkAnswer:
        """Look whether the work was done although its answer was lost."""
        deadline = asyncio.get_running_loop().time() + (self._remote.answer_wait_seconds if lost.wait else 0)
        while True:
            if (answer := await record.result()) is not None:
                return answer
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(1)
        with suppress(HeliosError):
            await record.cancel()  # so that the worker does not render in vain
        raise lost.instead or lost from lost

    async def _hand_on(self, answer: ChunkAnswer, on_output: OutputSink) -> None:
        """Give the sink all lines: from the log in storage if the tails in the answer are not the whole output."""
        tails = {"stdout": answer.stdout, "stderr": answer.stderr}
        cut = any(len(tail.encode()) >= TAIL_BYTES - 4 for tail in tails.values()) or answer.error is not None
        if answer.log is not None and cut:
            data = await self.storage.read(self.storage.key_of(answer.log.url), limit=2 * SMALL_BYTES) or b""
            for text in data.splitlines():
                # A line that is none is left out: the log is another program's, and the chunk is rendered.
                with suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(text)
                    on_output("stderr" if entry["stream"] == "stderr" else "stdout", str(entry["line"]))
            return
        for line in answer.stdout.splitlines():
            on_output("stdout", line)
        for line in answer.stderr.splitlines():
            on_output("stderr", line)


async def await_record(
    record: AttemptRecord, *, poll_seconds: float, start_seconds: float, margin_seconds: float = 30.0
) -> ChunkAnswer:
    """Wait for the answer of a worker that answers in storage alone.

    Args:
        record: The attempt.
        poll_seconds: Between two looks.
        start_seconds: How long the platform may take to start a worker.
        margin_seconds: How long to wait for an answer after the worker's time is over.

    Raises:
        AnswerLostError: No worker began in time, or a worker began and its time is over.
    """
    loop = asyncio.get_running_loop()
    deadline, began = loop.time() + start_seconds, False
    while True:
        if (answer := await record.result()) is not None:
            return answer
        if not began and (remaining := await record.started()) is not None:
            # Counted from here, in our time: the worker's clock may be wrong.
            began, deadline = True, loop.time() + remaining + margin_seconds
        if loop.time() >= deadline:
            how = "began, and left no answer within its time" if began else f"did not begin within {start_seconds:g} s"
            raise AnswerLostError(f"The worker for {record.url} {how}")
        await asyncio.sleep(poll_seconds)
