"""What a batch came to: the result of its flow run, and what `helios-job batch --json` prints."""

from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel
from helios.models.report import RunState


class RowResult(WireModel):
    """What became of a row's job."""

    row: Annotated[int, Field(ge=1)]
    """The row's number in the table."""
    state: RunState
    """How its run ended."""
    message: str = ""
    """Why, if not well; if all went well, what was made."""
    run_id: str | None = None
    """Its flow run; empty where none was begun."""
    output: str | None = None
    """The video's path or URL."""
    chunks: Annotated[int, Field(ge=0)] = 0
    """Chunks that were rendered or reused."""
    reused: Annotated[int, Field(ge=0)] = 0
    """Chunks that were reused."""


class BatchReport(WireModel):
    """What became of a batch."""

    run_id: str
    """Its flow run."""
    state: RunState
    """Completed if each row's job is."""
    rows: tuple[RowResult, ...]
    """Rows that this run took on, in order."""
    done_before: tuple[int, ...] = ()
    """Rows that an earlier run had completed, and that this one left out."""
    duration_ms: Annotated[int, Field(ge=0)]
    """Wall-clock time of the run."""
