"""A last chunk of another length than planned: allowed where the request says so, and always said.

The number of frames of a source is often known to a frame only, and then the last chunk of a plan is too long or short.
"""

import re
from enum import StrEnum
from pathlib import Path

import av

from helios.errors import HeliosError, MisfitError, OutputError
from helios.media.chunk_file import moving_pictures
from helios.media.opening import open_media
from helios.models.spec import RenderJobChunk


class LastChunk(StrEnum):
    """How the last chunk may differ from what was planned."""

    SHORTER = "shorter"
    """It may have fewer frames, and at least one."""
    LONGER = "longer"
    """It may have more frames."""


def allowed_frames(place: Path, chunk: RenderJobChunk, allowed: LastChunk | None) -> int | None:
    """The number of frames of a last chunk's output, where it differs from the plan as is allowed; else None.

    Args:
        place: The output.
        chunk: The job's last chunk.
        allowed: How it may differ; None for not at all.
    """
    if allowed is None:
        return None
    try:
        with open_media(place) as container:
            found = sum(1 for packet in container.demux(moving_pictures(container)[0]) if packet.size > 0)
    except (av.FFmpegError, OSError, IndexError):
        return None  # verification says what is wrong with it
    fits = 1 <= found < chunk.frame_count if allowed is LastChunk.SHORTER else found > chunk.frame_count
    return found if fits else None


def describe_length(chunk: RenderJobChunk, frames: int) -> str | None:
    """What a report says of a last chunk that differs; None for one that is as it was planned."""
    if frames == chunk.frame_count:
        return None
    difference = abs(frames - chunk.frame_count)
    what = "shorter" if frames < chunk.frame_count else "longer"
    unit = "frame" if difference == 1 else "frames"
    return f"the last chunk has {frames} frames instead of {chunk.frame_count}: the video is {difference} {unit} {what}"


def is_alike(error: HeliosError, before: str | None) -> bool:
    """Whether an attempt wrote the same wrong output as the attempt before, so that a third one would, too.

    Args:
        error: Why the attempt failed.
        before: What `essence` made of the error before; None if that was another kind, or there was none.
    """
    return before is not None and essence(error) == before


def essence(error: HeliosError) -> str | None:
    """What an output is instead of what was ordered, without the names of files; None for any other error.

    An output that is missing, empty or damaged may be whole the next time, and has none.
    """
    is_whole = isinstance(error, MisfitError) or (isinstance(error, OutputError) and "expected" in str(error))
    if not is_whole:
        return None
    return re.sub(r"\S*-attempt-\S+", "", str(error))
