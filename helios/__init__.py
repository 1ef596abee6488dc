"""The core of a distributed video renderer: jobs, the adapter contract, processes, media.

It imports the standard library, pydantic, psutil and PyAV; never Prefect, never a cloud's SDK: it runs
inside workers, and third-party adapters build on it.
"""

from helios.adapter import OutputSink, WorkerAdapter
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
