"""How long the chunks of a plan are: what `helios-job plan` is told, and what the scene says."""

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import click

from helios.errors import RequestError
from helios.job.planning import split_at, split_by_size, split_evenly
from helios.models.frame_numbers import MAX_CHUNKS
from helios.regular_file import open_regular
from helios.renderers.plan import usual_sizes
from helios.renderers.scene import Scene

MAX_LIST_BYTES = 16 * MAX_CHUNKS
"""Of a file of cuts, more than as many numbers as there may be chunks take."""


@dataclass(frozen=True)
class Lengths:
    """What a person says; None for what was left out."""

    chunks: int | None
    """Number of chunks."""
    chunk_frames: int | None
    """Frames of each."""
    cuts: str | None
    """First frames of chunks, or of the scenes of a template: a list, or the file that has it."""
    is_template: bool
    """Whether the document gets a template."""
    target_seconds: float | None
    """How long a chunk of a template takes."""
    shortest: int | None
    """Fewest frames of a chunk of a template."""
    longest: int | None
    """Most frames of a chunk of a template."""

    def check(self, *, has_usual: bool) -> None:
        """Refuse what does not go together.

        Args:
            has_usual: Whether a renderer has chunks of a usual length.

        Raises:
            UsageError: Says what to give.
        """
        if self.is_template:
            if self.chunks is not None or (self.chunk_frames is None) == (self.target_seconds is None):
                raise click.UsageError("Give --target-seconds or --chunk-frames with --emit-template.")
            return
        if (self.target_seconds, self.shortest, self.longest) != (None, None, None):
            raise click.UsageError("--target-seconds, --shortest and --longest are of a template (--emit-template).")
        given = 3 - [self.chunks, self.chunk_frames, self.cuts].count(None)
        if given > 1 or (given == 0 and not has_usual):
            raise click.UsageError("Give one of --chunks, --chunk-frames and --cuts.")

    def of(self, scene: Scene) -> tuple[list[int], dict[str, Any] | None]:
        """Frames of each chunk of a scene; and the lengths of a template, where one is wanted.

        Raises:
            RequestError: The scene can't be cut so.
        """
        frames = scene.frames or 0
        at = None if self.cuts is None else split_at(_listed(self.cuts), frames=frames, start_frame=scene.start_frame)
        if self.is_template:
            cuts = [scene.start_frame + cut for cut in list(accumulate(at or []))[:-1]]
            said = {"chunkFrames": self.chunk_frames, "targetSeconds": self.target_seconds,
                    "shortest": self.shortest, "longest": self.longest, "cuts": cuts}  # fmt: skip
            return [frames], said
        if at is not None:
            return at, None
        if self.chunks is not None:
            return split_evenly(frames, chunks=self.chunks), None
        if self.chunk_frames is not None:
            return split_by_size(frames, chunk_frames=self.chunk_frames), None
        return usual_sizes(scene), None


def _listed(cuts: str) -> str:
    """The list itself, or the text of the file that has it."""
    if re.fullmatch(r"[\d\s,]*", cuts):
        return cuts
    try:
        with open_regular(cuts) as file:
            return file.read(MAX_LIST_BYTES).decode(errors="replace")
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RequestError(
            f"--cuts {cuts}: no list of frames such as 0,240,517, and no file of one ({reason})"
        ) from None
