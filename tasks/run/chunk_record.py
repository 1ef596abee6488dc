"""The record of one chunk in a run: its attempts, their times, and its result."""

from dataclasses import dataclass, field

from prefect.client.schemas.objects import TaskRun

from helios.errors import Failure, HeliosError
from helios.models.report import ChunkResult, ReusedFrom, RunState
from helios.models.spec import RenderJobChunk
from helios.models.worker import WorkerResult, WorkerTimings
from helios.usage import Usage
from tasks.schedule.cutting import Cut
from tasks.schedule.place import Begun


@dataclass(slots=True)
class AttemptTimes:
    """When one attempt did what, in seconds since its run began."""

    began: float
    """The chunk's turn came."""
    started: float | None = None
    """The attempt had its slot of the adapter's limit, and was given to the adapter."""
    answered: float | None = None
    """The adapter returned the command's result."""
    fetched: float | None = None
    """The output was on this machine."""
    ended: float | None = None
    """The output was accepted, or the attempt failed."""
    outcome: RunState = RunState.RUNNING
    """How the attempt ended."""
    frames_done: int = 0
    """Frames that the command has rendered, as far as it says so while it runs."""
    render_ms: int | None = None
    """Running time of the command, once known."""
    worker: WorkerTimings | None = None
    """Where the worker's time went, if the worker reports it."""
    gpus: tuple[str, ...] = ()
    """The GPUs that the command had, once known."""
    rendered_by: str | None = None
    """The worker, once known, if it tells its name."""
    is_hedge: bool = False
    """Whether it is a second attempt, which began while the chunk's own one ran."""
    usages: tuple[Usage, ...] = ()
    """What each of its executions used of a worker, as far as the platform or the worker says it."""
    is_counted: bool = False
    """Whether the policy knows how it ended."""
    begun: Begun | None = None
    """What the policy of places knows of it; None where the run has one place alone."""
    is_judged: bool = False
    """Whether that policy knows how it ended."""
    failure: Failure | None = None
    """Why it failed, once it has."""

    @property
    def place(self) -> str | None:
        """The name of its place; None where the run has one place alone."""
        return None if self.begun is None else self.begun.place

    @property
    def seconds(self) -> float:
        """For how long a worker had it; 0 while it runs, and where none had it."""
        return 0.0 if self.started is None or self.ended is None else (self.answered or self.ended) - self.started

    def answer(self, now: float, ended: WorkerResult) -> None:
        """Write down what the adapter returned; the running times of several commands add up."""
        self.answered, self.worker, self.gpus, self.rendered_by = now, ended.timings, ended.gpus, ended.rendered_by
        self.render_ms = (self.render_ms or 0) + ended.duration_ms
        self.usages += (ended.usage,) if ended.usage is not None else ()

    def fail(self, error: HeliosError) -> None:
        """Write down what an error that the adapter raised says of its attempt."""
        self.gpus = error.gpus or self.gpus
        if error.waited_ms and self.worker is None:
            self.worker = WorkerTimings(wait_ms=error.waited_ms)
        self.rendered_by = error.rendered_by or self.rendered_by
        self.usages += (error.usage,) if error.usage is not None else ()

    def rendered_seconds(self, now: float) -> float:
        """How long the command ran; of one that ended by an error, how long its worker had it."""
        if self.render_ms is not None or self.started is None:
            return (self.render_ms or 0) / 1000
        waited = self.worker.wait_ms / 1000 if self.worker else 0
        return max(0.0, (now if self.ended is None else self.ended) - self.started - waited)

    def end(self, now: float, outcome: RunState) -> None:
        """Write down the end."""
        self.ended, self.outcome = now, outcome


@dataclass
class ChunkRecord:
    """The record of one chunk."""

    chunk: RenderJobChunk
    """The chunk."""
    position: int = 0
    """Where it stands in the job document, counted from 0."""
    state: RunState = RunState.PENDING
    """The chunk's state."""
    times: list[AttemptTimes] = field(default_factory=list)
    """The attempts, in order."""
    hedges: int = 0
    """Second attempts that were asked for while an attempt took too long."""
    command_failures: int = 0
    """Attempts whose command failed."""
    environment_failures: int = 0
    """Attempts whose environment failed."""
    error: str | None = None
    """Why the last attempt failed."""
    essence: str | None = None
    """What the last attempt wrote instead of what was ordered, comparable with others; None for other errors."""
    alike: int = 0
    """How many attempts, up to the last one, wrote the same wrong output."""
    result: ChunkResult | None = None
    """The accepted output."""
    packets: str | None = None
    """Digest of the packets of the accepted output's pictures."""
    rejections: int = 0
    """How often its output was accepted, and then refused because of its pictures beside those of other chunks."""
    is_given_up: bool = False
    """Whether the chunk failed for good."""
    reused_at: float | None = None
    """When an output was reused, in seconds since the run began; None if the chunk was not reused."""
    reused_from: ReusedFrom | None = None
    """Where the reused output was taken from."""
    cut: Cut | None = None
    """How it was cut, of a job that is cut while it is rendered."""
    parts: tuple[Cut, ...] = ()
    """What it was cut into when it hit a time limit; it is no chunk of the job any more then."""
    images_rendered: set[int] = field(default_factory=set)
    """Of a chunk of images, the frames of those that this run has rendered and accepted."""
    task_run: TaskRun | None = None
    """The chunk's task run in Prefect, once there is one."""
    hedge_run: TaskRun | None = None
    """The task run of its last second attempt, once there is one."""

    @property
    def reused(self) -> bool:
        """Whether an output was taken that this run did not render."""
        return self.reused_at is not None

    @property
    def is_rendered_now(self) -> bool:
        """Whether this run has rendered all of the accepted output; of images each one."""
        result = self.result
        is_whole = result is None or result.images is None or len(self.images_rendered) == result.frames
        return not self.reused and is_whole

    @property
    def attempts(self) -> int:
        """The number of attempts so far, second ones of a slow chunk included."""
        return len(self.times)

    @property
    def place(self) -> str | None:
        """The place of the accepted output, or of the last attempt; None where the run has one place alone."""
        accepted = (times for times in self.times if times.outcome is RunState.COMPLETED)
        last = next(accepted, self.times[-1] if self.times else None)
        return None if last is None else last.place

    @property
    def current(self) -> AttemptTimes | None:
        """The chunk's last attempt, second ones not counted; None before the first."""
        return next((times for times in reversed(self.times) if not times.is_hedge), None)

    @property
    def hedge(self) -> AttemptTimes | None:
        """Its last second attempt; None if there was none."""
        return next((times for times in reversed(self.times) if times.is_hedge), None)
