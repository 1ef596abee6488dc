"""One run of a job: what its chunks share while they render, and what became of each of them."""

from dataclasses import dataclass

from prefect.client.schemas.objects import TaskRun

from helios.adapter import StorageAdapter
from helios.errors import CommandError, HeliosError, WorkerUnavailableError
from helios.media.containers import check_container
from helios.media.verify import VerifiedOutput
from helios.models.report import ChunkReport, ChunkResult, JobReport, OutputReport, RunState
from helios.models.spec import RenderJobChunk
from helios.stitching import check_sound
from tasks.prepared_job import PreparedJob
from tasks.progress import JobProgress
from tasks.stored_job import StoredJob

ENVIRONMENT_RETRIES = 5
"""How often a chunk is tried again because its environment failed; not counted among its own retries."""

JOB_CANCELLED = "The job was cancelled"
"""Why a chunk was stopped when no other reason is known."""


class JobEndedError(HeliosError):
    """The job ended without its video. It is the result of such a flow run, so that who awaits it is told.

    Args:
        message: Why.
        report: What became of its chunks, if it got as far as that.
    """

    def __init__(self, message: str, report: JobReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class JobFailedError(JobEndedError):
    """The job can't complete."""


class JobCancelledError(JobEndedError):
    """Somebody stopped the job."""


class AttemptFailedError(HeliosError):
    """One attempt of a chunk failed.

    Args:
        message: What failed, with the chunk and the attempt.
        retry: Whether another attempt is due.
    """

    def __init__(self, message: str, retry: bool = False) -> None:
        super().__init__(message, retry)
        self.message = message
        self.retry = retry

    def __str__(self) -> str:
        return self.message


@dataclass
class ChunkRecord:
    """What has become of one chunk so far."""

    chunk: RenderJobChunk
    """The chunk."""
    position: int = 0
    """Where it stands in the job document, counted from 0."""
    state: RunState = RunState.PENDING
    """Where it stands."""
    attempts: int = 0
    """Executions started."""
    command_failures: int = 0
    """Attempts that failed by the command's own doing."""
    environment_failures: int = 0
    """Attempts that failed because the environment did."""
    error: str | None = None
    """Why the last attempt failed."""
    result: ChunkResult | None = None
    """The accepted output."""
    task_run: TaskRun | None = None
    """Its Prefect task run, once there is one."""


class JobRun:
    """One run of a job.

    Tasks take it as a parameter. It is no model, no dataclass and no collection on purpose: Prefect walks
    through all of those for every task run, which would cost each chunk the length of the job.

    Args:
        job: What is rendered.
        run_id: The flow run's id.
        retries: How often a chunk's command may be tried again.
        chunk_timeout_seconds: A chunk's command is stopped after this.
    """

    def __init__(
        self, job: PreparedJob, *, run_id: str, retries: int = 0, chunk_timeout_seconds: float | None = None
    ) -> None:
        self.job = job
        self.run_id = run_id
        self.retries = retries
        self.chunk_timeout_seconds = chunk_timeout_seconds
        adapter = job.adapter
        self.stored = StoredJob(job, adapter, run_id=run_id) if isinstance(adapter, StorageAdapter) else None
        """The job as workers elsewhere see it; None where they share this machine's disk."""
        self.progress = JobProgress(job.total_frames, len(job.chunks))
        """What people watch."""
        self.stop_reason: str | None = None
        """Why chunks that are stopped are stopped."""
        self.video: OutputReport | None = None
        """What the stitched video is."""
        positions = {chunk.id: position for position, chunk in enumerate(job.spec.chunks)}
        self.records = {chunk.id: ChunkRecord(chunk, positions[chunk.id]) for chunk in job.chunks}
        """By chunk id, in frame order."""
        self._first_accepted: tuple[str, VerifiedOutput] | None = None

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

    def fail_attempt(self, record: ChunkRecord, error: HeliosError) -> bool:
        """Count a failed attempt.

        Returns:
            Whether another attempt is due.
        """
        record.error = str(error)
        record.state = RunState.FAILED
        match error:
            case CommandError():
                record.command_failures += 1
                return record.command_failures <= self.retries
            case WorkerUnavailableError():
                record.environment_failures += 1
                return record.environment_failures <= ENVIRONMENT_RETRIES
            case _:
                return False

    def report(self, state: RunState, *, duration_ms: int, error: str | None = None) -> JobReport:
        """What has become of the job."""
        return JobReport(
            run_id=self.run_id,
            job_id=self.job.spec.id,
            state=state,
            output=self.video.path if self.video else None,
            frames=sum(record.result.frames for record in self.records.values() if record.result),
            chunks=tuple(self._chunk_report(record) for record in self.records.values()),
            duration_ms=duration_ms,
            video=self.video,
            error=error,
        )

    def _chunk_report(self, record: ChunkRecord) -> ChunkReport:
        result = record.result
        return ChunkReport(
            id=record.chunk.id,
            state=record.state,
            attempts=record.attempts,
            adapter=self.job.adapter_name,
            duration_ms=result.render_ms if result else None,
            worker=result.worker if result else None,
            bytes=result.artifact.bytes if result else None,
            frames=result.frames if result else None,
            error=record.error,
        )
