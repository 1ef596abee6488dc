"""The job document: what the Helios renderer emits (`helios render --emit-job`), and what `plan` writes."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice, pairwise
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from helios.errors import MOST_PROBLEMS, Problem
from helios.models.base import WireModel
from helios.models.chunk import JobMetadata, Patterns, RenderJobChunk
from helios.models.command_line import Command
from helios.models.delivery import Delivery
from helios.models.first_problems import FirstProblems
from helios.models.frame_numbers import MAX_CHUNKS, SpecRefusedError
from helios.models.image_encoding import ImageEncoding
from helios.models.log_rules import LogRules
from helios.models.outputs import output_problems
from helios.models.paths import BACKSLASH, MAX_FOLDERS, OutputPath, PathRules, levels_above
from helios.models.range_command import RangeCommand
from helios.models.requires import NOTHING, Requires
from helios.models.source import Source
from helios.models.template import ChunkTemplate, template_chunks
from helios.models.verification import VerifyLevel
from helios.web_urls import MAX_URL

__all__ = ["MAX_REVISION", "JobMetadata", "JobSpec", "RenderJobChunk"]

MAX_REVISION = 200
"""Characters of a revision."""
Revision = Annotated[str, Field(min_length=1, max_length=MAX_REVISION)]
"""Any text that stands for a version of what the frames are rendered from."""

_OPTIONAL_TEXTS = frozenset(
    name
    for field in ("id", "merge_command", "assets_url", "output_file", "verify", "revision", "range_command")
    for name in (field, to_camel(field))
)
"""Of a job document, in both spellings."""


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
    """At least one, in any order. Those of a template whose chunks are cut while they are rendered are the shortest."""
    template: ChunkTemplate | None = None
    """What the chunks are made of, in place of chunks."""
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
    def _cut_template(cls, document: Any, info: ValidationInfo) -> Any:
        """Make the chunks of a template."""
        if not isinstance(document, Mapping) or document.get("template") is None:
            return document
        if document.get("chunks"):
            raise SpecRefusedError((Problem("template", "chunks and a template", "one of them"),))
        return {**document, "chunks": template_chunks(document["template"], document.get("metadata"), info.context)}

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
    def grows(self) -> bool:
        """Whether its chunks are cut while it is rendered; `chunks` are the shortest then, and none is rendered."""
        return self.template is not None and self.template.target_seconds is not None

    def cut(self, index: int, *, start: int, count: int) -> RenderJobChunk:
        """Make a chunk of the template of a job that grows.

        Args:
            index: Its id.
            start: First frame.
            count: Frames.
        """
        assert self.template is not None  # noqa: S101  the job grows
        chunk = self.template.chunk(index, start=start, count=count, rate=self.metadata.fps)
        return RenderJobChunk.model_validate(chunk, context=PathRules(levels=MAX_FOLDERS))

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
        """The spec as the JSON object that it is read from, without empty fields; chunks of a template are none."""
        made = {"chunks"} if self.template is not None else None
        return self.model_dump(mode="json", exclude_none=True, exclude=made)


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
