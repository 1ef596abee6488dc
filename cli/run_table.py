"""Runs as a table on a terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.table import table
from helios.models.report_text import duration

if TYPE_CHECKING:  # it imports Prefect
    from farm import RunStatus

HEADER = ("ID", "STATE", "NAME", "BEGAN", "TOOK", "DONE", "")


def run_table(runs: Sequence["RunStatus"]) -> list[str]:
    """Lines with a header: of each run its id, state, name, begin, time at work, share of frames, and message."""
    return table(HEADER, [_row(run) for run in runs])


def _row(status: "RunStatus") -> tuple[str, ...]:
    run, progress = status.run, status.progress
    took = (run.total_run_time or run.estimated_run_time).total_seconds()
    return (
        status.id,
        status.state,
        status.name,
        _began(run.start_time),
        duration(took) if run.start_time is not None else "",
        f"{progress.percent:.0f} %" if progress is not None else "",
        status.message,
    )


def _began(when: datetime | None) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M}" if when is not None else ""
