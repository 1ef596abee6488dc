"""How well a chunk of an encode shows its source: what its command says on a line of its own, and records keep."""

from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from helios.models.base import WireModel

LINE = "helios-quality "
"""Begins a line of a command's standard output that goes on with a `ChunkQuality` as JSON."""
Decibels = Annotated[float, Field(ge=0, le=1000)]


class ChunkQuality(WireModel):
    """A chunk's score, and how it came about."""

    model_config = ConfigDict(extra="ignore")

    metric: Annotated[str, Field(max_length=20)]
    """`xpsnr`: in dB, (4 Y + U + V) / 6."""
    target: Decibels | None = None
    """What was asked for; empty where the quantiser was not chosen by it."""
    score: Decibels
    """Of all frames of the chunk."""
    crf: Annotated[str, Field(max_length=20)] | None = None
    """The quantiser, on the encoder's scale; empty for the encoder's default, which a chunk also has whose probes all
    failed."""
    probes: Annotated[int, Field(ge=0)] = 0
    """How many quantisers were tried on a sample."""
    failed_probes: Annotated[int, Field(ge=0)] = 0
    """How many of them could not be encoded or compared."""
    unlike_frames: Annotated[int, Field(ge=0)] = 0
    """Frames that look more like the source's picture before or after than like their own."""
    unlike_frame: Annotated[int, Field(ge=0)] | None = None
    """The first of them, counted in the chunk."""
    looks_like: Annotated[int, Field(ge=0)] | None = None
    """Which frame that one looks like, likewise."""


def known_quality(value: Any) -> ChunkQuality | None:
    """What a counterpart says of a chunk's quality; None for what can't be read here."""
    try:
        return None if value is None else ChunkQuality.model_validate(value)
    except ValidationError:
        return None


KnownQuality = Annotated[ChunkQuality | None, BeforeValidator(known_quality)]
"""What a counterpart of another version says of a chunk's quality; what can't be read here counts as none."""


def quality_line(quality: ChunkQuality) -> str:
    """The line that says it."""
    return LINE + quality.model_dump_json(by_alias=True)


def read_quality(printed: str) -> ChunkQuality | None:
    """Find what a command said of its chunk; None if it said nothing, or nothing that can be read."""
    for line in reversed(printed.splitlines()):
        if line.startswith(LINE):
            with suppress(ValueError):
                return ChunkQuality.model_validate_json(line.removeprefix(LINE))
            return None
    return None
