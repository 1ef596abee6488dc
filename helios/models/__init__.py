"""The values that everything else speaks in. Imports pydantic and the standard library alone."""

from helios.models.report import ChunkReport, ChunkResult, JobReport, OutputReport, RunState
from helios.models.spec import JobMetadata, JobSpec, RenderJobChunk
from helios.models.worker import Artifact, WorkerJob, WorkerResult

__all__ = [
    "Artifact",
    "ChunkReport",
    "ChunkResult",
    "JobMetadata",
    "JobReport",
    "JobSpec",
    "OutputReport",
    "RenderJobChunk",
    "RunState",
    "WorkerJob",
    "WorkerResult",
]
