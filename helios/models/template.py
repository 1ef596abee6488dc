"""A job document's `template`: one command and one name for all chunks, and how long the chunks are to be.

With `chunk_frames` the chunks are cut when the document is read. With `target_seconds` the run cuts them while it
renders (`tasks.schedule.cutting`); until then, the document's chunks are the shortest that there may be: as many as
there can be, each with the name of an output that a chunk may get.
"""

import shlex
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from helios.errors import Problem
from helios.models.base import WireModel
from helios.models.chunk import JobMetadata, RenderJobChunk
from helios.models.command_line import MAX_COMMAND, split_command
from helios.models.command_template import Value, chunk_values, fill, placeholders_in
from helios.models.cut_points import end_near
from helios.models.frame_numbers import MAX_CHUNKS, MAX_FRAME, MAX_SECONDS, Count, Index, SpecRefusedError
from helios.models.image_pattern import image_pattern
from helios.models.paths import MAX_PATH, PathRules

MOST_PIECES = 10_000
"""Chunks of a job that are cut while it is rendered, where the document does not say how short they may be."""
_BEGINS = {"start", "start_time", "seek_time", "preroll_start"}
"""Names of which a command must have one, to know where its chunk begins."""
_EXAMPLE = Fraction(30)


def _check_command(template: str) -> str:
    words = split_command(template)
    _check_fills(words, chunk_values(0, 1, rate=_EXAMPLE, index=0, preroll=0) | {"output": "out.mp4"})
    if not _BEGINS & {name for word in words for name in placeholders_in(word)}:
        raise ValueError("a command with {start}, or {start_time}: else each chunk would render the same frames")
    return template


def _check_output(template: str) -> str:
    _check_fills((template,), chunk_values(0, 1, rate=_EXAMPLE, index=0, preroll=0))
    try:
        is_sequence = (pattern := image_pattern(template)) is not None and pattern.digits is not None
    except ValueError:
        is_sequence = False  # refused with the chunks
    if not is_sequence and "index" not in placeholders_in(template):
        raise ValueError("a name with {index}, such as 'part-{index:04d}.mp4': each chunk has a file of its own")
    return template


def _check_fills(words: tuple[str, ...], values: dict[str, Value]) -> None:
    for word in words:
        try:
            fill(word, values)
        except ValueError as exc:
            raise ValueError(f"a template that can be filled: {exc}") from None


class ChunkTemplate(WireModel):
    """What stands in a job document in place of its chunks."""

    command: Annotated[str, Field(min_length=1, max_length=MAX_COMMAND), AfterValidator(_check_command)]
    """Template of each chunk's command, quoted as for a shell, with `{start}`, `{count}`, `{end}`, `{last}`, `{index}`,
    `{output}`, `{preroll}` and the others of `command_template.PLACEHOLDERS`."""
    output_file: Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(_check_output)]
    """Template of each chunk's output file, with `{index}`; or the pattern of all images."""
    start_frame: Index = 0
    """The job's first frame."""
    chunk_frames: Count | None = None
    """Frames of each chunk; the last one has the rest."""
    target_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)] | None = None
    """How long a chunk should take its worker, start-up included."""
    shortest: Count | None = None
    """The fewest frames of a chunk; a job that has fewer is one chunk."""
    longest: Count | None = None
    """The most frames of a chunk."""
    cuts: Annotated[tuple[Index, ...], Field(max_length=MAX_CHUNKS, fail_fast=True)] = ()
    """First frames of scenes, ascending: chunks end there where they can."""
    preroll: Annotated[int, Field(strict=True, ge=0, le=MAX_FRAME)] = 0
    """Frames that a command renders before its chunk and throws away; fewer where the chunk begins less than that after
    frame 0."""

    @model_validator(mode="after")
    def _check_lengths(self) -> "ChunkTemplate":
        if problems := tuple(self._problems()):
            raise SpecRefusedError(problems)
        return self

    def _problems(self) -> Iterator[Problem]:
        if (self.chunk_frames is None) == (self.target_seconds is None):
            found = (
                "neither chunkFrames nor targetSeconds"
                if self.chunk_frames is None
                else "both chunkFrames and targetSeconds"
            )
            yield Problem("template", found, "one of them: how long chunks are, in frames or in seconds")
        if self.shortest is not None and self.longest is not None and self.shortest > self.longest:
            yield Problem("template.shortest", str(self.shortest), f"at most {self.longest}, the longest")
        if self.chunk_frames is not None and not (self.shortest or 1) <= self.chunk_frames <= (
            self.longest or MAX_FRAME
        ):
            bounds = f"{self.shortest or 1} to {self.longest or MAX_FRAME}, the shortest and the longest"
            yield Problem("template.chunkFrames", str(self.chunk_frames), bounds)
        for index, (before, cut) in enumerate(zip(self.cuts, self.cuts[1:], strict=False), start=1):
            if cut <= before:
                yield Problem(f"template.cuts[{index}]", str(cut), f"more than {before}, the cut before it")
                return
        if self.target_seconds is not None:
            yield from self._growing_problems()

    def _growing_problems(self) -> Iterator[Problem]:
        """What can't be had while chunks are cut: their outputs are claimed before anything runs."""
        try:
            is_images = image_pattern(self.output_file) is not None
        except ValueError:
            is_images = True
        if is_images:
            yield Problem("template.outputFile", f"{self.output_file!r}, images", "a video, such as "
                          "'part-{index:04d}.mp4', where chunks are cut by time; or chunkFrames")  # fmt: skip
        elif others := sorted(set(placeholders_in(self.output_file)) - {"index"}):
            names = ", ".join(f"{{{name}}}" for name in others)
            yield Problem("template.outputFile", f"{self.output_file!r}, with {names}",
                          "{index} alone, where chunks are cut by time: names are known before cuts")  # fmt: skip

    def misfits(self, total: int) -> Iterator[Problem]:
        """Say what does not go with the job's number of frames.

        Args:
            total: Frames of the job.
        """
        end = self.start_frame + total
        for index, cut in enumerate(self.cuts):
            if not self.start_frame < cut < end:
                expected = f"a frame inside the job, {self.start_frame + 1} to {end - 1}"
                yield Problem(f"template.cuts[{index}]", str(cut), expected)
                break
        count = total // self.least(total) if self.chunk_frames is None else -(-total // self.chunk_frames)
        if count > MAX_CHUNKS:
            name = "shortest" if self.chunk_frames is None else "chunkFrames"
            value = self.shortest if self.chunk_frames is None else self.chunk_frames
            yield Problem(f"template.{name}", f"{value}, which may make {count} chunks", f"at most {MAX_CHUNKS} chunks")

    def least(self, total: int) -> int:
        """The fewest frames of a chunk that is cut while the job is rendered.

        Args:
            total: Frames of the job.
        """
        return min(self.shortest or max(1, -(-total // MOST_PIECES)), total)

    def sizes(self, total: int) -> list[int]:
        """The frames of each chunk: as they are rendered, or as the shortest that there may be.

        Args:
            total: Frames of the job, for which `misfits` finds nothing.
        """
        if self.chunk_frames is None:
            least = self.least(total)
            count = total // least
            return [least] * (count - 1) + [total - least * (count - 1)]
        frame, end, sizes = self.start_frame, self.start_frame + total, []
        least, most = self.shortest or 1, self.longest or MAX_FRAME
        while frame < end:
            until = end
            if end - frame >= self.chunk_frames + (self.shortest or 1):
                until = end_near(self.cuts, start=frame, wanted=frame + self.chunk_frames, least=frame + least,
                                 most=min(frame + most, end - (self.shortest or 0)))  # fmt: skip
            elif self.shortest is None and end - frame > self.chunk_frames:
                until = frame + self.chunk_frames
            sizes.append(until - frame)
            frame = until
        return sizes

    def chunk(self, index: int, *, start: int, count: int, rate: Fraction) -> dict[str, Any]:
        """One chunk, as a document would have it.

        Args:
            index: Its number, which is its id.
            start: First frame.
            count: Frames.
            rate: Frames per second.
        """
        values = chunk_values(start, count, rate=rate, index=index, preroll=self.preroll)
        output = fill(self.output_file, values)
        words = [fill(word, values | {"output": output}) for word in self._words]
        return {"id": index, "startFrame": start, "frameCount": count, "outputFile": output,
                "command": shlex.join(words)}  # fmt: skip

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return split_command(self.command)

    def chunks(self, total: int, *, rate: Fraction) -> list[dict[str, Any]]:
        """All chunks of `sizes`, in frame order.

        Args:
            total: Frames of the job.
            rate: Frames per second.
        """
        found, frame = [], self.start_frame
        for index, count in enumerate(self.sizes(total)):
            found.append(self.chunk(index, start=frame, count=count, rate=rate))
            frame += count
        return found


def template_chunks(template: Any, metadata: Any, rules: PathRules | None) -> list[dict[str, Any]]:
    """Make the chunks of a template; none where a part of the document is not sound, which its own field says.

    Args:
        template: As the document has it.
        metadata: The document's.
        rules: Of the document's paths.

    Raises:
        SpecRefusedError: It does not go with the number of frames.
    """
    try:
        found, known = ChunkTemplate.model_validate(template), JobMetadata.model_validate(metadata)
    except ValidationError:
        return []
    if problems := tuple(found.misfits(known.total_frames)):
        raise SpecRefusedError(problems)
    chunks = found.chunks(known.total_frames, rate=known.fps)
    try:
        RenderJobChunk.model_validate(chunks[0], context=rules)
    except ValidationError as exc:  # so would be all
        first = exc.errors(include_url=False)[0]
        expected = str(first.get("ctx", {}).get("error", first["msg"]))
        raise SpecRefusedError((Problem(f"template.{first['loc'][0]}", repr(first["input"]), expected),)) from None
    return chunks
