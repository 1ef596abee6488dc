"""What a job's video takes from the file that its chunks are encoded from, besides the pictures."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from helios.models.base import WireModel
from helios.models.paths import OutputPath

MAX_TICKS = 2**31 - 1
"""Of one frame; also the largest number of frames."""
MAX_SECONDS = 10**9
"""Of a time stamp, in either direction."""


def parse_seconds(value: object) -> Fraction:
    """Read an exact time: `"1/90000"`, `"-2"`, 3.

    Raises:
        ValueError: It is none.
    """
    expected = 'an exact number of seconds: a whole number, or a text such as "1/90000"'
    if isinstance(value, bool) or not isinstance(value, int | str | Fraction) or len(str(value)) > 40:
        raise ValueError(expected)
    try:
        seconds = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(expected) from None
    if abs(seconds) > MAX_SECONDS:
        raise ValueError(expected)
    return seconds


Seconds = Annotated[Fraction, BeforeValidator(parse_seconds), PlainSerializer(str), WithJsonSchema({"type": "string"})]
"""Seconds, exact."""
Sound = Literal["none", "copy", "aac", "opus", "flac", "pcm"]


class FrameTimes(WireModel):
    """How long each frame is shown, in a video without a constant rate."""

    tick: Seconds
    """The unit, in seconds: above 0."""
    steps: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=MAX_TICKS)], ...], Field(min_length=1, max_length=MAX_TICKS)
    ]
    """Ticks from each frame to the next, and those of the last one."""

    @model_validator(mode="after")
    def _check_tick(self) -> "FrameTimes":
        if self.tick <= 0:
            raise ValueError("a tick above 0 seconds")
        return self


class Source(WireModel):
    """A file whose sound, subtitles, chapters, attachments and tags a video gets, when its chunks are joined."""

    file: OutputPath
    """The file, relative to the job directory."""
    start: Seconds = Fraction(0)
    """Time stamp of its first picture, in seconds: the video's beginning."""
    sound: Sound = "copy"
    """How its sound tracks are written; `copy` takes their packets as they are."""
    by_ranges: bool = False
    """Whether the commands ask their worker for the parts that they need, as `helios-encode-chunk` does: then workers
    elsewhere need not fetch the whole file."""
    times: FrameTimes | None = None
    """The frames' times; each at its number through `fps` when empty."""
