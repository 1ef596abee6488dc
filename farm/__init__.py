"""Runs of jobs, seen from outside: the Python API of what `helios-job` does. See docs/api.md.

    run = await farm.submit("job.json", output_file="video.mp4")
    ended = await farm.wait(run)

Importing this package imports nothing else: Prefect, which takes over a second, comes with the first function that is
used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Prefect reports to its makers on a terminal, from its import on: not from here, unless the environment wants it.
os.environ.setdefault("DO_NOT_TRACK", "1")

if TYPE_CHECKING:
    from farm.actions import cancel, delete, pause, resume, retry, set_priority, submit
    from farm.batch_rows import BatchStatus, RowStatus
    from farm.encodes import submit_encode
    from farm.queries import (
        batch_report,
        batch_status,
        chunks,
        list_runs,
        logs,
        progress,
        report,
        status,
        wait,
        why_waiting,
    )
    from farm.runs import Order, Resumed, RunStatus
    from farm.server.connect import prefect_server
    from farm.watch import ChunkStatus
    from helios.models.report import JobReport, RunState
    from tasks.run.progress import Progress

__all__ = [
    "BatchStatus",
    "ChunkStatus",
    "JobReport",
    "Order",
    "Progress",
    "Resumed",
    "RowStatus",
    "RunState",
    "RunStatus",
    "batch_report",
    "batch_status",
    "cancel",
    "chunks",
    "delete",
    "list_runs",
    "logs",
    "pause",
    "prefect_server",
    "progress",
    "report",
    "resume",
    "retry",
    "set_priority",
    "status",
    "submit",
    "submit_encode",
    "wait",
    "why_waiting",
]

_MODULES = {
    "farm.actions": ("cancel", "delete", "pause", "resume", "retry", "set_priority", "submit"),
    "farm.batch_rows": ("BatchStatus", "RowStatus"),
    "farm.encodes": ("submit_encode",),
    "farm.queries": (
        "batch_report",
        "batch_status",
        "chunks",
        "list_runs",
        "logs",
        "progress",
        "report",
        "status",
        "wait",
        "why_waiting",
    ),
    "farm.runs": ("Order", "Resumed", "RunStatus"),
    "farm.server.connect": ("prefect_server",),
    "farm.watch": ("ChunkStatus",),
    "helios.models.report": ("JobReport", "RunState"),
    "tasks.run.progress": ("Progress",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take every name for one of this package

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULE_OF[name]), name)
