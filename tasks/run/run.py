"""One run of a job: what its chunks share while they render, and what became of each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from helios.adapter import StorageAdapter
from helios.errors import CommandError, HeliosError, OutputError, WorkerUnavailableError
from helios.media.containers import check_container
from helios.media.stitching import check_sound
from helios.media.verify import VerifiedOutput
from helios.models.report import ChunkReport, ChunkResult, JobReport, OutputReport, RunState
from tasks.prefect_api.log import RunLogger
from tasks.request.prepare import PreparedJob
from tasks.run.accepted import chunk_key
from tasks.run.chunk_log import LineBudget
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.progress import JobProgress
from tasks.run.slots import AdapterSlots
from tasks.site.storage import StoredJob

ENVIRONMENT_RETRIES = 5
"""How often a chunk is tried again, by default, because its environment failed; not counted among its own retries."""


@dataclass(frozen=True)
class Limits:
    """How often and how long a chunk may be tried."""

    retries: int = 0
    """How often its command may be tried again."""
    environment_retries: int = ENVIRONMENT_RETRIES
    """How often it is tried again because its environment failed."""
    timeout_seconds: float | None = None
    """Its command is stopped after this."""
    stall_seconds: float | None = None
    """Its command is stopped after so long without output, and without growth of its output file."""


class JobRun:
    """One run of a job.

    Tasks take it as a parameter. It is no model, no dataclass and no collection on purpose: Prefect walks
    through all of those for every task run, which would cost each chunk the length of the job.

    Args:
        job: What is rendered.
        run_id: The flow run's id.
        key: The job's name in records, the same for all its runs.
        token: Tells this execution of the flow run from others.
        is_first: No process worked on the flow run before.
        limits: How often and how long a chunk may be tried.
        client: Prefect's.
        logger: For what people should know.
        cancel: Cancels the flow's task.
    """

    def __init__(
        self,
        job: PreparedJob,
        *,
        run_id: str,
        key: str,
        token: str,
        is_first: bool = True,
        limits: Limits | None = None,
        client: PrefectClient,
        logger: RunLogger,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self.job = job
        self.run_id = run_id
        self.key = key
        """The job's name in records."""
        self.token = token
        self.is_first = is_first
        """Whether no process worked on the flow run before."""
        self.owner = key.rpartition("-")[2]
        """Names the job in the names of its attempts' files."""
        self.limits = limits or Limits()
        adapter = job.adapter
        self.stored = StoredJob(job, adapter, key=key, token=token) if isinstance(adapter, StorageAdapter) else None
        """The job as workers elsewhere see it; None where they share this machine's disk."""
        self.progress = JobProgress(job.total_frames, len(job.chunks))
        """What people watch."""
        self.log_lines = LineBudget()
        """Lines of commands that may still go into Prefect's log."""
        self.gate = asyncio.Event()
        """Closed while the job is paused: nothing new starts."""
        self.gate.set()
        self.slots = AdapterSlots(
            client, job.limit, run_id=run_id, gate=self.gate, progress=self.progress, logger=logger
        )
        """What attempts need of the adapter's limit over all jobs."""
        self.in_flight = 0
        """Attempts and joins that run now."""
        self.stop_reason: str | None = None
        """Why chunks that are stopped are stopped."""
        self.ends_as = RunState.CANCELLED
        """What a run that is stopped ends as."""
        self.suspension: State[Any] | None = None
        """The state that asked for this process's end, if the job is to go on in another one."""
        self.is_done = False
        """Whether everything is rendered and joined: a process that only reports is not suspended."""
        self.is_stopping = False
        """Whether the run was asked to stop."""
        self.begun_tasks: dict[UUID, TaskRun] = {}
        """Task runs of this process whose code has begun."""
        self.ended_tasks: dict[UUID, State[Any]] = {}
        """The last states of this process's task runs, in the order of their ends."""
        self._cancel = cancel
        self.video: OutputReport | None = None
        """What the stitched video is."""
        positions = {chunk.id: position for position, chunk in enumerate(job.spec.chunks)}
        self.records = {chunk.id: ChunkRecord(chunk, positions[chunk.id]) for chunk in job.chunks}
        """By chunk id, in frame order."""
        self._first_accepted: tuple[str, VerifiedOutput] | None = None

    def stop(self, reason: str, ends_as: RunState = RunState.CANCELLED) -> None:
        """End the run: chunks in flight are stopped, nothing new starts. Called in its event loop; once is enough."""
        if self.is_stopping:
            return
        self.is_stopping = True
        self.stop_reason, self.ends_as = self.stop_reason or reason, ends_as
        self._cancel()

    @asynccontextmanager
    async def underway(self) -> AsyncIterator[None]:
        """Do within the block what a pause lets finish, and does not let start."""
        await self.gate.wait()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def begin_task(self) -> TaskRun | None:
        """Take note of the task run whose code calls this."""
        context = TaskRunContext.get()
        if context is None:
            return None
        self.begun_tasks[context.task_run.id] = context.task_run
        return context.task_run

    def end_task(self, ended: State[Any]) -> None:
        """Take note of a task run's last state."""
        if ended.state_details.task_run_id is not None:
            self.ended_tasks[ended.state_details.task_run_id] = ended

    def place(self, output: Path, token: str) -> Path:
        """Where something is written before it is `output`; a name that no other run of any job uses."""
        return self.job.directory.attempt(output, owner=self.owner, token=f"{self.token}-{token}")

    def record_key(self, chunk_id: int) -> str:
        """Where Prefect keeps the result of a chunk's task."""
        return chunk_key(self.job.spec, self.key, self.records[chunk_id].chunk)

    def remove_leftovers(self) -> int:
        """Remove what stopped runs of this job left of their attempts; return the number of files."""
        directory = self.job.directory
        outputs = [directory.output(chunk.output_file) for chunk in self.job.spec.chunks]
        if self.job.output is not None:
            outputs.append(self.job.output)
        return directory.remove_attempts(outputs, owner=self.owner)

    def reuse(self, result: ChunkResult, verified: VerifiedOutput) -> bool:
        """Take an output that an earlier run accepted; say whether it fits its siblings."""
        record = self.records[result.chunk_id]
        try:
            self.check_fits(f"chunk {result.chunk_id}", verified)
        except OutputError:
            return False
        record.state, record.result, record.reused_at = RunState.COMPLETED, result, self.progress.seconds
        self.progress.add(result.frames, reused=True)
        return True

    def check_fits(self, name: str, verified: VerifiedOutput) -> None:
        """Hold a verified output against the first accepted one, and that one against the wanted video.

        Raises:
            OutputError: It can't be joined with its siblings.
            RequestError: No chunk of this kind can be joined into the wanted video.
        """
        if self._first_accepted is not None:
            first_name, first = self._first_accepted
            verified.check_sibling(first, name=name, other_name=first_name)
            return
        if self.job.output is not None:
            check_container(self.job.output, verified.video.codec)
            if self.job.audio_file is None:
                check_sound(verified.audio)
        self._first_accepted = (name, verified)

    def begin_attempt(self, record: ChunkRecord, asked: float) -> AttemptTimes:
        """Count an attempt, which was asked for so many seconds after the run began."""
        record.state = RunState.RUNNING
        record.times.append(AttemptTimes(asked))
        return record.times[-1]

    def end_attempt(self, record: ChunkRecord, outcome: RunState) -> None:
        """Say where a chunk stands after its last attempt; one that never began has no clock to stop."""
        record.state = outcome
        if record.times and record.times[-1].ended is None:
            record.times[-1].end(self.progress.seconds, outcome)

    def fail_attempt(self, record: ChunkRecord, error: HeliosError) -> bool:
        """Count a failed attempt.

        Returns:
            Whether another attempt is due.
        """
        record.error = str(error)
        self.end_attempt(record, RunState.FAILED)
        match error:
            case CommandError():
                record.command_failures += 1
                is_due = record.command_failures <= self.limits.retries
            case WorkerUnavailableError():
                record.environment_failures += 1
                is_due = record.environment_failures <= self.limits.environment_retries
            case _:
                is_due = False
        record.is_given_up = not is_due
        return is_due

    def report(self, state: RunState, *, duration_ms: int, error: str | None = None) -> JobReport:
        """What has become of the job."""
        return JobReport(
            run_id=self.run_id,
            job_id=self.job.spec.id,
            state=state,
            output=self.video.path if self.video else None,
            job_dir=str(self.job.directory.path),
            merged=state is RunState.COMPLETED and self.job.output is None and self.job.merge is not None,
            frames=sum(record.result.frames for record in self.records.values() if record.result),
            chunks=tuple(self._chunk_report(record) for record in self.records.values()),
            duration_ms=duration_ms,
            retries=self.limits.retries,
            environment_retries=self.limits.environment_retries,
            video=self.video,
            error=error,
        )

    def _chunk_report(self, record: ChunkRecord) -> ChunkReport:
        result = record.result
        return ChunkReport(
            id=record.chunk.id,
            state=record.state,
            attempts=record.attempts,
            command_failures=record.command_failures,
            environment_failures=record.environment_failures,
            reused=record.reused,
            adapter=self.job.adapter_name,
            duration_ms=result.render_ms if result else None,
            worker=result.worker if result else None,
            bytes=result.artifact.bytes if result else None,
            frames=result.frames if result else None,
            error=record.error,
        )
