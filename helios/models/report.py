"""What a job came to: the result of the flow run, and what `helios-job run --json` prints.

Records leave out fields that have their defaults: a default, once released, stays what it is.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field

from helios.models.audit import AuditReport
from helios.models.base import WireModel
from helios.models.cost import CostReport
from helios.models.cut_report import CutReport, CuttingReport
from helios.models.deadline import DeadlineReport
from helios.models.hedge_report import HedgeReport
from helios.models.image_pattern import image_pattern
from helios.models.images import AcceptedImages
from helios.models.pictures import KnownPictures, PictureFinding
from helios.models.place_report import PlaceReport
from helios.models.quality import KnownQuality
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact, WorkerTimings


def path_of_url(url: str) -> Path:
    """A file's path by its `file://` URL."""
    return Path(unquote(urlsplit(url).path))


class RunState(StrEnum):
    """Where a job stands. A chunk is never stitching or paused, and crashes only with its job."""

    PENDING = "pending"
    """Nothing of it has been started; or it is to be started again."""
    RUNNING = "running"
    """Chunks are rendered, or about to be."""
    STITCHING = "stitching"
    """All chunks are accepted, and are being joined."""
    PAUSED = "paused"
    """Chunks in flight finish, nothing new starts, until the job is continued."""
    COMPLETED = "completed"
    """Done, and its output accepted."""
    FAILED = "failed"
    """Given up; the message says why."""
    CANCELLED = "cancelled"
    """Stopped before its end, by a person or because another chunk failed."""
    CRASHED = "crashed"
    """The process that ran it died."""


class ReusedFrom(StrEnum):
    """Where an output comes from that this run did not render."""

    EARLIER_RUN = "earlier-run"
    """An earlier run of the job accepted it, and it lay in its place."""
    CACHE = "cache"
    """It was copied from a cache of outputs."""


class ChunkResult(WireModel):
    """An accepted chunk output."""

    chunk_id: int
    """The chunk's id."""
    artifact: Artifact
    """The output file: where it is, its size and digest. Of images their pattern, the size of all, and the digest of
    their digests."""
    frames: Annotated[int, Field(ge=1)]
    """Frames counted in the output."""
    codec: str
    """FFmpeg's name of the video codec."""
    attempt: Annotated[int, Field(ge=1)]
    """The attempt that was accepted, of those in its run."""
    run_id: str
    """The flow run that accepted it."""
    adapter: str
    """Name of the adapter that ran it."""
    render_ms: Annotated[int, Field(ge=0)]
    """Running time of the accepted attempt's command."""
    verify_ms: Annotated[int, Field(ge=0)]
    """Time to verify and hash the output."""
    fetch_ms: Annotated[int, Field(ge=0)] = 0
    """Time to fetch the output from storage; 0 where the worker wrote it here."""
    verified: VerifyLevel = VerifyLevel.CONTAINER
    """How thoroughly it was verified. A record of an earlier version does not say, and is verified again."""
    pictures: KnownPictures = None
    """What stays of its pictures, where the level is `pictures`."""
    worker: WorkerTimings | None = None
    """Where the worker's time went, if the worker reports it."""
    rendered_by: str | None = None
    """The worker, if it tells its name."""
    quality: KnownQuality = None
    """How well it shows its source, if its command said so."""
    inputs: str | None = None
    """Digest of what the chunk was rendered from, in hexadecimal (`helios.job.inputs`). Empty where that is not known,
    as in records of earlier versions."""
    input_list: str | None = None
    """Names the list of these inputs in result storage."""
    images: AcceptedImages | None = None
    """Each of the images, where it wrote images."""
    encoded: Artifact | None = None
    """The video that was encoded from the images, where one is to be joined from them."""

    @property
    def path(self) -> Path:
        """The output on this machine; of images the first one."""
        return self.files[0]

    @property
    def files(self) -> list[Path]:
        """The output on this machine: one file, or each of its images."""
        path = path_of_url(self.artifact.url)
        if self.images is None or (pattern := image_pattern(path.name)) is None:
            return [path]
        return [path.with_name(pattern.name(frame)) for frame in self.images.known]


class AttemptReport(WireModel):
    """When one execution of a chunk did what, in seconds since its run began."""

    began: float
    """The chunk's turn came, or a second attempt was decided."""
    started: float | None = None
    """It had its slot, and was given to a worker; empty where it never was."""
    ended: float | None = None
    """Its output was verified, or it failed, or it was stopped."""
    outcome: RunState = RunState.COMPLETED
    """How it ended: `completed` where its output was accepted, `cancelled` where it was stopped."""
    hedge: bool = False
    """Whether it was a second attempt, which began while another one ran."""
    rendered_by: str | None = None
    """The worker, if it tells its name, and was not stopped."""
    place: str | None = None
    """Where it ran, if the request names several places."""
    cost: Annotated[float, Field(ge=0)] | None = None
    """What it has cost, in the currency of the job's `cost`; empty where nothing costs anything."""

    @property
    def seconds(self) -> float:
        """For how long a worker had it."""
        return 0.0 if self.started is None or self.ended is None else self.ended - self.started


class ChunkReport(WireModel):
    """What became of one chunk."""

    id: int
    """The chunk's id."""
    state: RunState
    """How it ended."""
    attempts: Annotated[int, Field(ge=0)]
    """Executions that were started in this run; 0 for a chunk that was reused."""
    command_failures: Annotated[int, Field(ge=0)] = 0
    """Attempts that failed by the command's own doing; counted against the job's `retries`."""
    environment_failures: Annotated[int, Field(ge=0)] = 0
    """Attempts that failed because their environment did; counted against the job's `environment_retries`."""
    adapter: str
    """Name of the adapter."""
    duration_ms: Annotated[int, Field(ge=0)] | None = None
    """Running time of the accepted attempt's command; empty when none was accepted."""
    worker: WorkerTimings | None = None
    """Where the time of the accepted attempt's worker went, if the worker reports it."""
    rendered_by: str | None = None
    """The worker of the accepted output, if it tells its name."""
    reused: bool = False
    """Whether an output accepted in an earlier run, or of a cache, was taken."""
    reused_from: ReusedFrom | None = None
    """Where it was taken from; empty if it was not reused."""
    bytes: Annotated[int, Field(ge=0)] | None = None
    """Size of the accepted output."""
    frames: Annotated[int, Field(ge=0)] | None = None
    """Frames of the accepted output."""
    verified: VerifyLevel | None = None
    """How thoroughly the accepted output was verified."""
    kept_images: Annotated[int, Field(ge=0)] | None = None
    """Of a chunk of images, those that an earlier attempt or run had accepted, and that were not rendered again."""
    quality: KnownQuality = None
    """How well the accepted output shows its source, if its command said so."""
    timeline: tuple[AttemptReport, ...] = ()
    """When each attempt did what, in the order of their begins."""
    cut: CutReport | None = None
    """How it was cut; empty where the document has its chunks."""
    error: str | None = None
    """Why its last attempt failed."""


class OutputReport(WireModel):
    """The joined video."""

    path: str
    """Absolute path; a URL where it was put into storage."""
    frames: Annotated[int, Field(ge=1)]
    """Frames counted in it."""
    duration_seconds: float
    """`frames / fps`."""
    bytes: Annotated[int, Field(ge=0)]
    """Size."""
    sha256: str | None = None
    """Digest of the file, in hexadecimal."""
    audio_codec: str | None = None
    """FFmpeg's name of the sound track's codec; empty when there is none."""
    warnings: tuple[str, ...] = ()
    """What a person should know about it."""


class ImagesReport(WireModel):
    """The sequence of images that a job has rendered."""

    path: str
    """The absolute path, with the pattern of the images' names."""
    first: Annotated[int, Field(ge=0)]
    """The first frame's number."""
    last: Annotated[int, Field(ge=0)]
    """The last frame's."""
    count: Annotated[int, Field(ge=1)]
    """Images."""
    bytes: Annotated[int, Field(ge=0)]
    """Size of all images."""
    format: str
    """PNG, JPEG, TIFF, EXR, DPX, WebP, BMP."""
    depth: str
    """Of each color: `8 bits`, `16-bit float`."""
    rendered: Annotated[int, Field(ge=0)]
    """Images that this run has rendered; the others were accepted by earlier ones."""
    url: str | None = None
    """The URL of the copy in storage, with the pattern of the images' names; empty where none was asked for."""
    sent: Annotated[int, Field(ge=0)] = 0
    """Images that this run has sent there; the others were there."""


class InputsReport(WireModel):
    """What changed of a job's inputs."""

    message: str | None = None
    """What changed since chunks were accepted by earlier runs, and what follows; empty when nothing changed."""
    rendered_again: Annotated[int, Field(ge=0)] = 0
    """Chunks whose accepted outputs were not reused because their inputs changed."""
    reused: Annotated[int, Field(ge=0)] = 0
    """Chunks whose accepted outputs were reused."""
    changed_meanwhile: tuple[str, ...] = ()
    """The first 100 inputs that changed while chunks were rendered: which chunks show which content is not known."""


class JobReport(WireModel):
    """What became of a job."""

    run_id: str
    """The Prefect flow run's id."""
    job_id: str | None
    """The spec's id."""
    state: RunState
    """How the job ended."""
    output: str | None
    """Absolute path or URL of the joined video, if one was made."""
    job_dir: str
    """Where its commands ran and its outputs lie."""
    merged: bool = False
    """Whether the job's own merge command joined the chunks. What it wrote is verified if there is a `video`."""
    frames: Annotated[int, Field(ge=0)]
    """Frames of all accepted chunks."""
    chunks: tuple[ChunkReport, ...]
    """In frame order."""
    duration_ms: Annotated[int, Field(ge=0)]
    """From the flow's first action to its last."""
    retries: Annotated[int, Field(ge=0)] = 0
    """How often a chunk whose command failed was to be tried again."""
    environment_retries: Annotated[int, Field(ge=0)] = 0
    """How often a chunk whose environment failed was to be tried again."""
    hand_overs: Annotated[int, Field(ge=0)] = 0
    """How often the run was given to another worker because its worker or its process died. The chunks' attempts are
    those of the last worker; what earlier ones had accepted is reused."""
    video: OutputReport | None = None
    """What the joined video is; empty when nothing was joined, or what the job's merge command wrote was not found."""
    images: ImagesReport | None = None
    """The sequence, where chunks write images and all are accepted."""
    error: str | None = None
    """Why the job did not complete."""
    warnings: tuple[PictureFinding, ...] = ()
    """What is suspicious in its pictures, in frame order: most of it at the level `pictures` alone, copies at each."""
    audit: AuditReport | None = None
    """What was rendered a second time, and how that compares; empty without an audit."""
    hedge: HedgeReport | None = None
    """What second attempts of slow chunks came to; empty where none began."""
    places: tuple[PlaceReport, ...] = ()
    """What each place did, where the request names several, in their order."""
    cost: CostReport | None = None
    """What its workers have cost; empty where nothing costs anything."""
    deadline: DeadlineReport | None = None
    """How it stood to its deadline; empty where it had none."""
    cutting: CuttingReport | None = None
    """How it was cut while it was rendered; empty where the document has its chunks."""
    inputs: InputsReport | None = None
    """What changed of its inputs; empty when nothing did."""
    last_chunk: str | None = None
    """How its last chunk differs from the plan, where that was allowed; empty when it does not."""
    watched: Annotated[int, Field(ge=0)] = 0
    """Chunks that were begun in the order in which they are seen, since somebody watched the video."""
