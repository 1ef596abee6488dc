"""A chunk of a job document, and what the document says of the finished video."""

from typing import Annotated

from pydantic import ConfigDict, Field

from helios.models.base import WireModel
from helios.models.command_line import Command, split_command
from helios.models.frame_numbers import MAX_SECONDS, Count, Index
from helios.models.framerate import FrameRate
from helios.models.image_pattern import ImagePattern, image_pattern
from helios.models.paths import InputPattern, OutputPath
from helios.models.requires import Requires

MAX_ID = 2**53
"""The largest id of a chunk: whole numbers beyond are not exact in JavaScript."""
MAX_PATTERNS = 10_000
"""Patterns of input files, of one chunk or of the job."""
Patterns = Annotated[tuple[InputPattern, ...], Field(max_length=MAX_PATTERNS, fail_fast=True)]


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
