"""What a report says of a job that was cut while it was rendered."""

from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel


class CutReport(WireModel):
    """How a chunk was cut, of a job that is cut while it is rendered."""

    start_frame: Annotated[int, Field(ge=0)]
    """Its first frame."""
    frame_count: Annotated[int, Field(ge=1)]
    """Its frames."""
    expected_seconds: float | None = None
    """How long it was expected to take; empty while nothing was timed, and of one that an earlier run had cut."""
    why: str
    """Why it is as long as it is: `first` (nothing was timed yet), `target`, `limit` (a time limit), `end` (all are to
    end together), `half` (of one that hit a time limit), `kept` (an earlier run cut it)."""


class SplitReport(WireModel):
    """A chunk that hit a time limit, and was cut in two."""

    id: int
    """Its id, which no chunk has any more."""
    start_frame: Annotated[int, Field(ge=0)]
    """Its first frame."""
    frame_count: Annotated[int, Field(ge=1)]
    """Its frames."""
    parts: tuple[int, int]
    """The ids of its parts."""
    attempts: Annotated[int, Field(ge=1)]
    """Its attempts."""
    seconds: float
    """For how long workers had them together."""


class CuttingReport(WireModel):
    """How a job was cut while it was rendered."""

    target_seconds: float
    """How long a chunk was to take."""
    start_seconds: float | None = None
    """What starting a chunk takes, as far as it was learned."""
    splits: tuple[SplitReport, ...] = ()
    """Chunks that hit a time limit."""
