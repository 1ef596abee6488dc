"""The values that everything else speaks in. Imports pydantic and the standard library alone.

What only an orchestrator needs, `helios.models.report`, is not imported here: workers start faster.
"""

from helios.models.spec import JobMetadata, JobSpec, RenderJobChunk
from helios.models.worker import Artifact, WorkerJob, WorkerResult

__all__ = [
    "Artifact",
    "JobMetadata",
    "JobSpec",
    "RenderJobChunk",
    "WorkerJob",
    "WorkerResult",
]
