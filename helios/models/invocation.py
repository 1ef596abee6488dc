"""What an orchestrator sends to a worker, and what the worker answers: JSON, with the names that Helios uses.

A counterpart of another version may send fields that are not known here: they are ignored, as long as the
protocol's number is the same.

The first orchestrators know five kinds of failure, and reject an answer that states another one. So a worker states
one of these five as `kind`. A kind that was added later is sent as two fields: `kind` is the general kind that counts
against the same retries, and `cause` is the kind itself, which an older orchestrator ignores. A stalled command is
`{"kind": "command", "cause": "stalled"}`: a CommandStalledError here, a CommandError for an older orchestrator.
Here, an unknown `cause` is ignored, and an unknown `kind` counts as a failed command whatever the exit code: the
chunk's own retries are the bound that the user set.

A request names the level of verification (`verify`), and the answer states the level at which the worker has verified
its output (`verified`). An older worker ignores the first and leaves out the second: then the orchestrator verifies the
output itself, at the level that it wants. An older orchestrator names no level, and gets what it always got.

The answer about a chunk that writes images has `images` in place of `artifact`. An older worker refuses the document of
such a chunk; of a still it answers with an `artifact` alone, which the orchestrator does not take.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from helios.errors import Failure, HeliosError, RetryBudget
from helios.models.base import WireModel
from helios.models.frame_numbers import MAX_CHUNKS, MAX_SECONDS
from helios.models.images import DeliveredImages
from helios.models.log_rules import LogRules
from helios.models.pictures import KnownPictures
from helios.models.requires import Requires
from helios.models.sandbox import SandboxKind
from helios.models.worker import Artifact, KnownLevel, WorkerResult, WorkerTimings
from helios.usage import Usage
from helios.web_urls import MAX_URL

__all__ = ["FIRST_KINDS", "PROTOCOL", "ChunkAnswer", "ChunkRequest", "Failure", "WorkerFailure", "WorkerIdentity"]

PROTOCOL = 1
"""Increased when an older counterpart would misunderstand a request or an answer."""
MAX_SENT_DOCUMENT = 256 * 1024
"""Characters of a job document that travels with its request; a larger one is fetched."""
FIRST_KINDS = frozenset({Failure.REQUEST, Failure.COMMAND, Failure.TIMEOUT, Failure.OUTPUT, Failure.UNAVAILABLE})
"""The kinds that every orchestrator of protocol 1 knows."""
_GENERAL = {
    RetryBudget.NONE: Failure.REQUEST,
    RetryBudget.CHUNK: Failure.COMMAND,
    RetryBudget.ENVIRONMENT: Failure.UNAVAILABLE,
}
"""The general kind that older orchestrators get for a later kind."""


class _Tolerant(WireModel):
    model_config = ConfigDict(extra="ignore")


class ChunkRequest(_Tolerant):
    """Render one chunk. Helios's orchestrator sends the first two fields alone."""

    job_path: Annotated[str, Field(min_length=1, max_length=MAX_URL)]
    """The job document: a path, or a URL (`s3`, `gs`, `file`, `http`, `https`)."""
    chunk_index: Annotated[int, Field(ge=0, lt=MAX_CHUNKS)] = 0
    """The chunk's position in the document."""
    document: Annotated[str, Field(max_length=MAX_SENT_DOCUMENT)] | None = None
    """The job document itself, of a sender that has it at hand; fetched from `job_path` when empty."""
    attempt_url: Annotated[str, Field(max_length=MAX_URL)] | None = None
    """Folder in artifact storage for what this attempt writes; beside the document when empty."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the command."""
    timeout_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    """The command is stopped when it runs longer."""
    stall_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    """The command is stopped when it prints nothing, and its output does not grow, for this many seconds."""
    remaining_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    """When the platform will end the worker, where the worker can't know it itself."""
    verify: KnownLevel = None
    """How thoroughly the output is verified; as the job document says when empty."""
    requires: Requires | None = None
    """What the chunk takes of the worker while it renders; nothing in particular when empty."""
    ranged_inputs: dict[str, str] = Field(default_factory=dict)
    """Input files whose parts the command asks for, by name: each with the SHA-256 of the list of its blocks
    (`helios.job.block_list`). A worker that does not know this fetches them whole."""
    log_rules: LogRules | None = None
    """What the command's lines and exit codes mean; as the job document says when empty."""
    sandbox: SandboxKind | None = None
    """The sandbox that the command must run in, beside what the worker's deployment asks for."""
    avoid_worker: str | None = None
    """The worker that should not render it, for whoever chooses one."""
    job_name: str = ""
    """The job's name, for people."""
    probe: bool = False
    """Render nothing; report the worker's identity, and try the storage."""
    protocol: int = PROTOCOL
    """What the sender speaks."""


def _known(value: Any) -> Failure | None:
    try:
        return Failure(value)
    except ValueError:
        return None


def _known_or_command(value: Any) -> Any:
    return Failure.COMMAND if isinstance(value, str) and _known(value) is None else value


class WorkerFailure(_Tolerant):
    """Why a worker did not deliver; the module's docstring says how versions understand each other."""

    kind: Annotated[Failure, BeforeValidator(_known_or_command)]
    """One of `FIRST_KINDS`; a kind that is not known here is read as COMMAND."""
    cause: Annotated[Failure | None, BeforeValidator(_known)] = None
    """The kind itself where it is not one of `FIRST_KINDS`; one that is not known here is ignored."""
    message: str
    """For people."""

    @classmethod
    def of(cls, error: HeliosError) -> "WorkerFailure":
        """State an error."""
        kind = error.failure
        if kind in FIRST_KINDS:
            return cls(kind=kind, message=_text(error))
        return cls(kind=_GENERAL[kind.budget], cause=kind, message=_text(error))

    @property
    def failure(self) -> Failure:
        """The kind, as exactly as it is known here."""
        return self.cause or self.kind


class WorkerIdentity(_Tolerant):
    """Identity of the worker that answered."""

    version: str
    """Of the worker's package."""
    protocol: int = PROTOCOL
    """What it speaks."""
    host: str = ""
    """The function, the service or the machine."""
    instance: str = ""
    """Tells the workers of one function or service apart; empty from an earlier version."""

    @property
    def rendered_by(self) -> str | None:
        """The worker's name, which no other worker has; None where it does not tell itself from others."""
        return f"{self.host} ({self.instance})" if self.instance else None


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
    images: DeliveredImages | None = None
    """The images in storage, of a chunk that writes images. Those of a command that failed are there as well."""
    log: Artifact | None = None
    """All that the command printed: a JSON object for each line. Empty where the tails are all there is."""
    timings: WorkerTimings | None = None
    """Where the time went."""
    error: WorkerFailure | None = None
    """Why there is no output."""
    worker: WorkerIdentity | None = None
    """The worker that answered; empty from a worker of Helios."""
    frames: int | None = None
    """Frames that the worker counted in the output."""
    verified: KnownLevel = None
    """How thoroughly the worker has verified the output; empty from a worker that does not say."""
    pictures: KnownPictures = None
    """What stays of its pictures, where the level is `pictures`."""
    gpus: tuple[str, ...] = ()
    """The GPUs that the command had for itself."""
    usage: Usage | None = None
    """What the platform bills, where it says so: its adapter fills this in, and no worker does."""

    @property
    def billed(self) -> Usage | None:
        """What the execution used, as the platform says, else as the worker does."""
        return self.usage or (self.timings.usage if self.timings else None)

    def to_result(self, place: str) -> WorkerResult:
        """Make it what an adapter returns.

        Args:
            place: The worker's name in messages: `the function render`.

        Raises:
            HeliosError: Of the kind that the worker states, where the command did not run to its end.
        """
        if self.error is not None:
            raise self._failure(self.error, place)
        return WorkerResult(
            exit_code=self.exit_code,
            stdout=self.stdout or self.output,
            stderr=self.stderr,
            duration_ms=self.duration_ms,
            artifact=self.artifact,
            images=self.images,
            timings=self.timings,
            verified=self.verified,
            pictures=self.pictures,
            rendered_by=self.worker.rendered_by if self.worker else None,
            gpus=self.gpus,
            usage=self.billed,
        )

    def _failure(self, said: WorkerFailure, place: str) -> HeliosError:
        error = said.failure.error(f"{said.message} (said {place})")
        error.gpus, error.waited_ms = self.gpus, self.timings.wait_ms if self.timings else 0
        error.rendered_by = self.worker.rendered_by if self.worker else None
        error.usage = self.billed
        return error

    @classmethod
    def failed(cls, error: HeliosError, **fields: Any) -> "ChunkAnswer":
        """The answer to a request that failed."""
        code = 124 if error.failure is Failure.TIMEOUT else 1  # what timeout(1) exits with
        fields.setdefault("stderr", _text(error))
        return cls(exit_code=code, error=WorkerFailure.of(error), **fields)


def _text(error: HeliosError) -> str:
    """An error's words, of which any can be written as JSON: a job's names may have halves of surrogate pairs."""
    return str(error).encode(errors="backslashreplace").decode()
