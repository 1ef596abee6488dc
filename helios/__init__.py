"""The core of a distributed video renderer: jobs, the adapter contract, processes, media.

It imports the standard library, pydantic, psutil and PyAV; never Prefect, never a cloud's SDK: it runs
inside workers, and third-party adapters build on it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helios.errors import (
    CommandError,
    CommandStalledError,
    CommandTimeoutError,
    Failure,
    HeliosError,
    OutputError,
    RequestError,
    SpecError,
    WorkerUnavailableError,
)

if TYPE_CHECKING:
    from helios.adapter import OutputSink, WorkerAdapter
    from helios.models import JobMetadata, JobSpec, RenderJobChunk, WorkerJob, WorkerResult

__all__ = [
    "CommandError",
    "CommandStalledError",
    "CommandTimeoutError",
    "Failure",
    "HeliosError",
    "JobMetadata",
    "JobSpec",
    "OutputError",
    "OutputSink",
    "RenderJobChunk",
    "RequestError",
    "SpecError",
    "WorkerAdapter",
    "WorkerJob",
    "WorkerResult",
    "WorkerUnavailableError",
]


def __getattr__(name: str) -> Any:
    """Load the models when the first one is asked for: pydantic takes 0.4 s, and `helios-job --help` needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "helios.adapter" if name in {"OutputSink", "WorkerAdapter"} else "helios.models"
    return getattr(import_module(home), name)
