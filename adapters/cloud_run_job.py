"""Workers that are tasks of executions of a Google Cloud Run job: `deploy/gcp` makes the job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters.cloud_run_executions import Executions, Ticket
from adapters.google import find_credentials, storage_credentials
from adapters.remote import RemoteAdapter, RemoteAdapterConfig
from helios.diagnosis import Finding, find
from helios.job.attempts import AttemptRecord
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.storage.folder import Storage
from helios.usage import WorkerSize

JOB = "^projects/[^/]+/locations/[^/]+/jobs/[^/]+$"


class CloudRunJobConfig(RemoteAdapterConfig):
    """Render chunks as tasks of executions of a Google Cloud Run job."""

    model_config = ConfigDict(title="cloud-run-job")

    type: Literal["cloud-run-job"] = "cloud-run-job"
    job: Annotated[str, Field(pattern=JOB)]
    """`projects/PROJECT/locations/REGION/jobs/JOB`."""
    service_account_key: SecretStr | None = None
    """A service account's key as JSON; application default credentials when empty."""
    task_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """A task's time limit; it replaces the job's own."""
    tasks_per_execution: Annotated[int, Field(ge=1, le=10_000)] = 500
    """The most chunks that go into one execution."""
    gather_seconds: Annotated[float, Field(ge=0, le=600)] = 5.0
    """While an execution runs, how long to gather chunks for the next one. A region runs at most 1,000."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Between two looks for answers."""
    endpoint: str | None = None
    """Another server that speaks the Cloud Run Admin API: HOST:PORT, or http://HOST:PORT without TLS."""


class CloudRunJobAdapter(RemoteAdapter):
    """Gathers chunks that are ready together into executions, and finds their answers in storage.

    Args:
        config: Which job.
    """

    config_type: ClassVar[type[BaseModel]] = CloudRunJobConfig

    def __init__(self, config: CloudRunJobConfig) -> None:
        super().__init__(
            config,
            place=f"the Cloud Run job {config.job.rsplit('/', 1)[1]}",
            storage=Storage(
                config.storage, credentials=storage_credentials(config.storage, config.service_account_key)
            ),
        )
        plain = bool(config.endpoint and config.endpoint.startswith("http://"))
        self.executions = Executions(
            config.job,
            storage=self.storage,
            credentials=None if plain else find_credentials(config.service_account_key),
            endpoint=config.endpoint,
            task_timeout_seconds=config.task_timeout_seconds,
            tasks_per_execution=config.tasks_per_execution,
            gather_seconds=config.gather_seconds,
            poll_seconds=config.poll_seconds,
        )
        """The job's executions."""
        self._limit = float(config.task_timeout_seconds)
        self._tickets: dict[str, Ticket] = {}

    async def _send(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        ticket = Ticket(request.model_copy(update={"remaining_seconds": self._limit}), record)
        self._tickets[record.url] = ticket
        try:
            return await self.executions.answer(ticket)
        finally:
            self._tickets.pop(record.url, None)

    async def worker_size(self) -> WorkerSize:
        """The size of the job's container; see `helios.adapter.SizedAdapter`."""
        return await self.executions.worker_size()

    async def _look_around(self) -> AsyncIterator[Finding]:
        yield await find("job", self.executions.describe_job)

    async def _call_off(self, record: AttemptRecord) -> None:
        if ticket := self._tickets.get(record.url):
            await self.executions.call_off(ticket)
