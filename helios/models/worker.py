"""What an adapter is given, and what it answers."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from helios.models.base import WireModel
from helios.models.frame_numbers import MAX_SECONDS
from helios.models.images import DeliveredImages
from helios.models.log_rules import LogRules
from helios.models.pictures import KnownPictures
from helios.models.requires import Requires
from helios.models.verification import VerifyLevel, known_level
from helios.usage import Usage

KnownLevel = Annotated[VerifyLevel | None, BeforeValidator(known_level)]
"""A level that a counterpart of another version names; one that is not known here counts as none."""


class WorkerJob(WireModel):
    """One command to run on a worker."""

    command: Annotated[str, Field(min_length=1)]
    """The program: a path, or a name to be found on the worker's PATH."""
    args: tuple[str, ...] = ()
    """Its arguments, handed over as they are: no shell reads them."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables set for the command, beside those from the adapter."""
    cwd: str | None = None
    """Working directory; the worker's own when empty."""
    job_dir: str | None = None
    """The job directory: the working directory, or a folder above it. A sandbox lets the command write there."""
    timeout_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    """The command is stopped when it runs longer. Unlimited when empty."""
    stall_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    """The command is stopped when it prints nothing, and `output_file` does not grow, for this many seconds. Unlimited
    when empty."""
    output_file: str | None = None
    """The file that the command is to write, relative to `cwd`, as far as it is known."""
    job_url: str | None = None
    """Where the worker can fetch the job document: a path or a URL."""
    chunk_index: Annotated[int, Field(ge=0)] = 0
    """The chunk's position in the document at `job_url`."""
    chunk_id: int | None = None
    """The chunk that this renders; empty for a merge."""
    job_name: str = ""
    """The job's name, for people."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Counts the executions of this chunk, from 1."""
    verify: VerifyLevel | None = None
    """How thoroughly a worker that verifies its output does so; as its job document says when empty."""
    avoid_worker: str | None = None
    """The worker that should not run this, as its `WorkerResult.rendered_by` named it: a hint, for adapters that can
    choose a worker. The others ignore it."""
    requires: Requires | None = None
    """What the worker must have, for adapters that can choose a worker. The others ignore it."""
    ranged_inputs: dict[str, str] = Field(default_factory=dict)
    """Input files whose parts the command asks for; see `helios.models.invocation.ChunkRequest`."""
    log_rules: LogRules | None = None
    """What the command's lines and exit codes mean, for workers that look at them; the caller looks too."""


class Artifact(WireModel):
    """A file in artifact storage."""

    url: str
    """`file://`, `s3://` or `gs://`."""
    bytes: Annotated[int, Field(ge=0)]
    """Size."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Digest of the content, in hexadecimal."""


class WorkerTimings(WireModel):
    """Where a worker's time went, in milliseconds."""

    model_config = ConfigDict(extra="ignore")

    wait_ms: Annotated[int, Field(ge=0)] = 0
    """Until GPUs were free."""
    boot_ms: Annotated[int, Field(ge=0)] = 0
    """From the start of its process to the request, for its first request; 0 for a warm worker."""
    fetch_ms: Annotated[int, Field(ge=0)] = 0
    """Job document and assets."""
    render_ms: Annotated[int, Field(ge=0)] = 0
    """The command."""
    verify_ms: Annotated[int, Field(ge=0)] = 0
    """Counting and decoding the output's frames."""
    upload_ms: Annotated[int, Field(ge=0)] = 0
    """Output and log."""

    @property
    def usage(self) -> Usage:
        """What the platform bills, where it does not say so itself: all of the worker's time."""
        spent = (self.wait_ms, self.boot_ms, self.fetch_ms, self.render_ms, self.verify_ms, self.upload_ms)
        return Usage(milliseconds=sum(spent))


class WorkerResult(WireModel):
    """How a command ended, whatever its exit code."""

    exit_code: int
    """0 for success; -N when signal N ended the command."""
    stdout: str = ""
    """The end of what it printed, bounded: `helios.processes.output.TAIL_BYTES`."""
    stderr: str = ""
    """The end of what it printed as errors, bounded likewise."""
    duration_ms: Annotated[int, Field(ge=0)] = 0
    """From the command's start to its end."""
    artifact: Artifact | None = None
    """The output, where the worker put it into storage."""
    images: DeliveredImages | None = None
    """Its images, where it wrote images and put them into storage."""
    timings: WorkerTimings | None = None
    """Where the worker's time went, if the worker reports it."""
    verified: KnownLevel = None
    """How thoroughly the worker has verified the output; empty where it does not say, and counts as not verified."""
    pictures: KnownPictures = None
    """What stays of its pictures, where the level says so."""
    rendered_by: str | None = None
    """The worker that ran the command, such as the machine and the process or instance; the same text for the same
    worker. Empty where it is not known."""
    gpus: tuple[str, ...] = ()
    """The GPUs that the command was given, as the worker names them."""
    usage: Usage | None = None
    """What the execution used, where the platform or the worker says it."""
