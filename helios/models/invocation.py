"""What an orchestrator sends to a worker, and what the worker answers: JSON, with the names that Helios uses.

A counterpart of another version may send fields that are not known here: they are ignored, as long as the
protocol's number is the same.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from helios.errors import (
    CommandError,
    CommandTimeoutError,
    HeliosError,
    OutputError,
    RequestError,
    WorkerUnavailableError,
)
from helios.models.base import WireModel
from helios.models.worker import Artifact, WorkerResult, WorkerTimings

PROTOCOL = 1
"""Raised when an older counterpart would misunderstand a request or an answer."""


class _Tolerant(WireModel):
    model_config = ConfigDict(extra="ignore")


class ChunkRequest(_Tolerant):
    """Render one chunk. Helios's orchestrator sends the first two fields alone."""

    job_path: Annotated[str, Field(min_length=1)]
    """The job document: a path, or a URL (`s3`, `gs`, `file`, `http`, `https`)."""
    chunk_index: Annotated[int, Field(ge=0)] = 0
    """The chunk's position in the document."""
    attempt_url: str | None = None
    """Folder in artifact storage for what this attempt writes; beside the document when empty."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the command."""
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None
    """The command is stopped when it runs longer."""
    stall_seconds: Annotated[float, Field(gt=0)] | None = None
    """The command is stopped when for so long it prints nothing and its output does not grow."""
    remaining_seconds: Annotated[float, Field(gt=0)] | None = None
    """When the platform will end the worker, where the worker can't know it itself."""
    probe: bool = False
    """Render nothing; say who answers, and try the storage."""
    protocol: int = PROTOCOL
    """What the sender speaks."""


class Failure(StrEnum):
    """Why a chunk was not rendered: the three kinds of `helios.errors`, and their children."""

    REQUEST = "request"
    """The request is wrong."""
    COMMAND = "command"
    """The command failed."""
    TIMEOUT = "timeout"
    """The command ran longer than it may."""
    OUTPUT = "output"
    """The command wrote something else than was ordered."""
    UNAVAILABLE = "unavailable"
    """The worker failed."""

    @classmethod
    def of(cls, error: HeliosError) -> "Failure":
        """The kind of an error."""
        return next(kind for kind, error_type in _ERRORS.items() if isinstance(error, error_type))

    def error(self, message: str) -> HeliosError:
        """The error of this kind."""
        return _ERRORS[self](message)


# From the special to the general: `of` takes the first that fits.
_ERRORS: dict[Failure, type[HeliosError]] = {
    Failure.TIMEOUT: CommandTimeoutError,
    Failure.OUTPUT: OutputError,
    Failure.COMMAND: CommandError,
    Failure.REQUEST: RequestError,
    Failure.UNAVAILABLE: WorkerUnavailableError,
}


class WorkerFailure(_Tolerant):
    """Why a worker did not deliver."""

    kind: Failure
    """What may be done about it."""
    message: str
    """For people."""


class WorkerIdentity(_Tolerant):
    """Who answered."""

    version: str
    """Of the worker's package."""
    protocol: int = PROTOCOL
    """What it speaks."""
    host: str = ""
    """The function, the service or the machine."""


class ChunkAnswer(_Tolerant):
    """How a chunk's attempt ended."""

    exit_code: int
    """Of the command; not 0 also where something else failed."""
    output: str = ""
    """What Helios's orchestrator shows: the end of the standard output."""
    stdout: str = ""
    """The end of what the command printed, bounded: `helios.processes.output.TAIL_BYTES`."""
    stderr: str = ""
    """The end of what it printed as errors, bounded likewise."""
    duration_ms: Annotated[int, Field(ge=0)] = 0
    """Running time of the command."""
    artifact: Artifact | None = None
    """The output in storage."""
    log: Artifact | None = None
    """All that the command printed: a JSON object for each line. Empty where the tails are all there is."""
    timings: WorkerTimings | None = None
    """Where the time went."""
    error: WorkerFailure | None = None
    """Why there is no output."""
    worker: WorkerIdentity | None = None
    """Who answered; empty from a worker of Helios."""
    frames: int | None = None
    """Frames that the worker counted in the output."""

    def to_result(self, place: str) -> WorkerResult:
        """Make it what an adapter returns.

        Args:
            place: Who answered, for messages: `the function render`.

        Raises:
            HeliosError: Of the kind that the worker states, where the command did not run to its end.
        """
        if self.error is not None:
            raise self.error.kind.error(f"{self.error.message} (said {place})")
        return WorkerResult(
            exit_code=self.exit_code,
            stdout=self.stdout or self.output,
            stderr=self.stderr,
            duration_ms=self.duration_ms,
            artifact=self.artifact,
            timings=self.timings,
        )

    @classmethod
    def failed(cls, error: HeliosError, **fields: Any) -> "ChunkAnswer":
        """The answer to a request that failed."""
        kind = Failure.of(error)
        code = 124 if kind is Failure.TIMEOUT else 1  # what timeout(1) exits with
        failure = WorkerFailure(kind=kind, message=str(error))
        fields.setdefault("stderr", str(error))
        return cls(exit_code=code, error=failure, **fields)
