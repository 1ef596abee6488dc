"""The job document: what the Helios renderer emits (`helios render --emit-job`), and what `plan` writes."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice, pairwise
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from helios.errors import MOST_PROBLEMS, Problem
from helios.models.base import WireModel
from helios.models.command_line import Command, split_command
from helios.models.delivery import Delivery
from helios.models.first_problems import FirstProblems
from helios.models.framerate import FrameRate
from helios.models.image_encoding import ImageEncoding
from helios.models.image_pattern import ImagePattern, image_pattern
from helios.models.log_rules import LogRules
from helios.models.outputs import output_problems
from helios.models.paths import BACKSLASH, InputPattern, OutputPath, levels_above
from helios.models.range_command import RangeCommand
from helios.models.requires import NOTHING, Requires
from helios.models.source import Source
from helios.models.verification import VerifyLevel
from helios.web_urls import MAX_URL

MAX_CHUNKS = 100_000
"""A job of more chunks is refused: every chunk is a task run in Prefect's database."""

MAX_REVISION = 200
"""Characters of a revision."""
Revision = Annotated[str, Field(min_length=1, max_length=MAX_REVISION)]
"""Any text that stands for a version of what the frames are rendered from."""
MAX_FRAME = 2**31 - 1
"""Frames are counted up to here: two years at 30 per second. Times in video files are computed from these."""
MAX_ID = 2**53
"""The largest id of a chunk: whole numbers beyond are not exact in JavaScript."""
MAX_SECONDS = 1e9
"""The longest duration that a document may state."""
MAX_PATTERNS = 10_000
"""Patterns of input files, of one chunk or of the job."""
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_FRAME)]
Index = Annotated[int, Field(strict=True, ge=0, le=MAX_FRAME)]
Patterns = Annotated[tuple[InputPattern, ...], Field(max_length=MAX_PATTERNS, fail_fast=True)]


_OPTIONAL_TEXTS = frozenset(
    name
    for field in ("id", "merge_command", "assets_url", "output_file", "verify", "revision", "range_command")
    for name in (field, to_camel(field))
)
"""Of a job document, in both spellings."""


class SpecRefusedError(ValueError):
    """Carries the problems that only show when a document's parts are seen together."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def _known_scheme(url: str) -> str:
    """Write the schemes of Helios's storages as this program knows them: `gcs://` is `gs://`, `local://` is a path."""
    if url.startswith("gcs://"):
        return f"gs://{url.removeprefix('gcs://')}"
    if url.startswith("local://"):
        path = url.removeprefix("local://")
        if not path.startswith("/"):
            raise ValueError("an absolute path behind local://, such as local:///srv/assets")
        return f"file://{quote(path)}"
    return url


class RenderJobChunk(WireModel):
    """A half-open range of frames `[start_frame, start_frame + frame_count)`, rendered by one command."""

    id: Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]
    """Unique within the job."""
    start_frame: Index
    """First frame, counted as the composition counts them."""
    frame_count: Count
    """Number of frames, at least 1."""
    output_file: OutputPath
    """Where the command writes its frames, relative to the job directory: a video, or the pattern of its images' names,
    such as `shots/shot_####.exr`."""
    command: Command
    """Runs in the job directory."""
    inputs: Patterns | None = None
    """Glob patterns of the files that the command reads; the job's when empty. Files that its words name count too."""
    requires: Requires | None = None
    """What the worker must have, beside what the job requires."""

    @property
    def end_frame(self) -> int:
        """One past the last frame."""
        return self.start_frame + self.frame_count

    @property
    def argv(self) -> tuple[str, ...]:
        """The command's words."""
        return split_command(self.command)

    @property
    def images(self) -> ImagePattern | None:
        """The names of its images; None where it writes a video."""
        return image_pattern(self.output_file)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is its output, in frame order, relative to the job directory."""
        if (images := self.images) is None:
            return (self.output_file,)
        return tuple(images.path(frame) for frame in range(self.start_frame, self.end_frame))

    @property
    def frames(self) -> str:
        """The range as people write it: `frames 30 to 59`."""
        if self.frame_count == 1:
            return f"frame {self.start_frame}"
        return f"frames {self.start_frame} to {self.end_frame - 1}"


class JobMetadata(WireModel):
    """What the finished video is. Fields that are not known here are kept as they are."""

    model_config = ConfigDict(extra="allow")

    total_frames: Count
    """Frames of all chunks together."""
    fps: FrameRate
    """Frames per second, exact: 30, 29.97 (which is 2997/100), or "30000/1001"."""
    width: Annotated[int, Field(strict=True, ge=1, le=65_536)]
    """Pixels."""
    height: Annotated[int, Field(strict=True, ge=1, le=65_536)]
    """Pixels."""
    duration: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
    """Seconds, as the renderer states it. What is rendered is `total_frames / fps`."""


class JobSpec(WireModel):
    """One video to render: its frames cut into chunks, and how they are joined.

    A spec that exists is sound: ids and output files are unique, and the chunks cover
    `metadata.total_frames` consecutive frames, starting anywhere.
    """

    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")] | None = None
    """The job's name, if it has one."""
    metadata: JobMetadata
    """Size, rate and number of frames."""
    chunks: Annotated[
        tuple[RenderJobChunk, ...], Field(max_length=MAX_CHUNKS, fail_fast=True), FirstProblems(RenderJobChunk)
    ]
    """At least one, in any order."""
    merge_command: Command | None = None
    """Joins the chunk outputs where no stitched output is asked for. Runs in the job directory."""
    assets_url: Annotated[str, Field(max_length=MAX_URL), AfterValidator(_known_scheme)] | None = None
    """Where workers that do not share this machine's disk find the job's input files."""
    output_file: OutputPath | None = None
    """The stitched video, relative to the job directory."""
    delivery: Delivery | None = None
    """The stitched video's fragments, brand and metadata; what the request says of these wins."""
    source: Source | None = None
    """The file that the chunks are encoded from: the stitched video gets its sound, subtitles, chapters and tags."""
    verify: VerifyLevel | None = None
    """How thoroughly chunk outputs are verified, where the request does not say it."""
    hedge: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """What second attempts of slow chunks may cost, as a share of the time of the others, where the request does not
    say it; 0 for none."""
    inputs: Patterns | None = None
    """Glob patterns of the files that commands read: when one changes, accepted chunks are rendered again. When empty,
    all of the job directory but outputs."""
    exclude: Patterns | None = None
    """Glob patterns of files that are no inputs, whatever else selects them. They may find nothing. In documents of a
    batch, `@other-rows` stands for the outputs of its other rows."""
    revision: Revision | None = None
    """A version of whatever else the frames are rendered from; with another one, all chunks are rendered again. For
    requests that do not say it."""
    requires: Requires | None = None
    """What a worker must have to render any of the chunks."""
    encode: ImageEncoding | None = None
    """How the video is encoded, where chunks write images."""
    range_command: RangeCommand | None = None
    """Template of a command that renders a part of a chunk's images: with `{start}`, `{last}`, `{end}`, `{count}` and
    `{output}`. With it, only the images that are missing are rendered again."""
    log_rules: LogRules | None = None
    """What lines that a chunk's command prints, and its exit codes, mean."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_texts(cls, document: Any) -> Any:
        """Take an empty text for none, as Helios does, whose type of a job has no optional texts."""
        if not isinstance(document, Mapping):
            return document
        return {name: value for name, value in document.items() if value != "" or name not in _OPTIONAL_TEXTS}

    @model_validator(mode="before")
    @classmethod
    def _refuse_too_many_chunks(cls, document: Any) -> Any:
        """Count the chunks before each is read: reading 100,000 takes seconds."""
        chunks = document.get("chunks") if isinstance(document, Mapping) else None
        if isinstance(chunks, list | tuple) and len(chunks) > MAX_CHUNKS:
            raise SpecRefusedError((Problem("chunks", f"{len(chunks)} chunks", f"at most {MAX_CHUNKS}"),))
        return document

    @property
    def leads_up(self) -> bool:
        """Whether an output lies above the document's folder, as where Helios wrote the document elsewhere."""
        outputs = [chunk.output_file for chunk in self.chunks] + ([self.output_file] if self.output_file else [])
        return any(levels_above(output) for output in outputs)

    @property
    def is_images(self) -> bool:
        """Whether its chunks write images; a spec that exists has images alone, or none."""
        return self.chunks[0].images is not None

    @property
    def ordered_chunks(self) -> tuple[RenderJobChunk, ...]:
        """The chunks in frame order."""
        return tuple(sorted(self.chunks, key=lambda chunk: chunk.start_frame))

    @model_validator(mode="after")
    def _check_as_a_whole(self) -> "JobSpec":
        if not self.chunks:
            raise SpecRefusedError((Problem("chunks", "an empty array", "at least one chunk"),))
        found = chain(
            _repeated_ids(self),
            output_problems(self.chunks, video=self.output_file, has_range_command=self.range_command is not None),
            _uncovered_frames(self),
            _lost_backslashes(self),
            _other_times(self),
        )
        problems = tuple(islice(found, MOST_PROBLEMS))
        if problems:
            raise SpecRefusedError(problems)
        return self

    def required_by(self, chunk: RenderJobChunk) -> Requires:
        """What a chunk requires of its worker, by itself and as one of the job's."""
        return (self.requires or NOTHING) | chunk.requires

    def to_document(self) -> dict[str, Any]:
        """The spec as the JSON object that it is read from, without empty fields."""
        return self.model_dump(mode="json", exclude_none=True)


def _repeated_ids(spec: JobSpec) -> Iterator[Problem]:
    first: dict[int, int] = {}
    for index, chunk in enumerate(spec.chunks):
        if chunk.id in first:
            yield Problem(f"chunks[{index}].id", f"{chunk.id}, as in chunks[{first[chunk.id]}]", "a unique id")
        first.setdefault(chunk.id, index)


def _lost_backslashes(spec: JobSpec) -> Iterator[Problem]:
    r"""Outputs whose command names them without their backslashes, as `-o out\a.mp4`: it would write another file."""
    for index, chunk in enumerate(spec.chunks):
        name = chunk.output_file
        if BACKSLASH not in name or name in (words := chunk.argv):
            continue
        if (written := name.replace(BACKSLASH, "")) in words:
            expected = "/ between folders, or quotes around a name with a backslash; an unquoted one is dropped"
            yield Problem(f"chunks[{index}].command", f"{written!r} instead of {name!r}", expected)


def _other_times(spec: JobSpec) -> Iterator[Problem]:
    """Recorded times that are not those of the frames."""
    times = spec.source.times if spec.source is not None else None
    if times is not None and len(times.steps) != spec.metadata.total_frames:
        expected = f"{spec.metadata.total_frames}, one for each frame"
        yield Problem("source.times.steps", f"{len(times.steps)} steps", expected)


def _uncovered_frames(spec: JobSpec) -> Iterator[Problem]:
    order = sorted(range(len(spec.chunks)), key=lambda index: spec.chunks[index].start_frame)
    for before, index in pairwise(order):
        previous, chunk = spec.chunks[before], spec.chunks[index]
        if chunk.start_frame == previous.end_frame:
            continue
        what = "a gap" if chunk.start_frame > previous.end_frame else "an overlap"
        yield Problem(
            f"chunks[{index}].startFrame",
            f"{chunk.start_frame}, {what}",
            f"{previous.end_frame}, one past the {previous.frames} of chunk {previous.id}",
        )
    total = sum(chunk.frame_count for chunk in spec.chunks)
    if total != spec.metadata.total_frames:
        expected = f"{total}, the sum of the chunks' frame counts"
        yield Problem("metadata.totalFrames", str(spec.metadata.total_frames), expected)
