"""What has become of one chunk in a run, and when."""

from dataclasses import dataclass, field

from prefect.client.schemas.objects import TaskRun

from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from helios.models.worker import WorkerTimings


@dataclass(slots=True)
class AttemptTimes:
    """When one attempt did what, in seconds since its run began."""

    began: float
    """It came to the front of the queue."""
    started: float | None = None
    """It had its slot of the adapter's limit, and was given to the adapter."""
    answered: float | None = None
    """The adapter said how the command ended."""
    fetched: float | None = None
    """The output was on this machine."""
    ended: float | None = None
    """It was accepted, or given up."""
    outcome: RunState = RunState.RUNNING
    """How it ended."""
    render_ms: int | None = None
    """Running time of its command, once known."""
    worker: WorkerTimings | None = None
    """Where the worker's time went, if it says so."""

    def end(self, now: float, outcome: RunState) -> None:
        """Take note of its end."""
        self.ended, self.outcome = now, outcome


@dataclass
class ChunkRecord:
    """What has become of one chunk so far."""

    chunk: RenderJobChunk
    """The chunk."""
    position: int = 0
    """Where it stands in the job document, counted from 0."""
    state: RunState = RunState.PENDING
    """Where it stands."""
    times: list[AttemptTimes] = field(default_factory=list)
    """Its attempts, in their order."""
    command_failures: int = 0
    """Attempts that failed by the command's own doing."""
    environment_failures: int = 0
    """Attempts that failed because the environment did."""
    error: str | None = None
    """Why the last attempt failed."""
    result: ChunkResult | None = None
    """The accepted output."""
    is_given_up: bool = False
    """Whether no further attempt follows the one that failed."""
    reused_at: float | None = None
    """When an earlier run's output was taken, in seconds since the run began; None where none was."""
    task_run: TaskRun | None = None
    """Its Prefect task run, once there is one."""

    @property
    def reused(self) -> bool:
        """Whether an earlier run accepted it."""
        return self.reused_at is not None

    @property
    def attempts(self) -> int:
        """Executions that were asked for."""
        return len(self.times)
