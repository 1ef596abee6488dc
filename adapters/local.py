"""Workers that are processes on this machine."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from helios.adapter import OutputSink
from helios.diagnosis import Finding, find
from helios.models.worker import WorkerJob, WorkerResult
from helios.processes.command import DEFAULT_GRACE_SECONDS, run_command


class LocalAdapterConfig(BaseModel):
    """Run each chunk's command as a process on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="local")

    type: Literal["local"] = "local"
    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = DEFAULT_GRACE_SECONDS
    """How long a command that is stopped may take to end by itself before it is killed."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables set for every command, beside this process's own."""
    concurrency_limit: Annotated[str, Field(min_length=1)] | None = None
    """Name of a global concurrency limit in Prefect, which bounds the chunks in flight over all jobs. By default
    `helios-local-HOSTNAME`; no bound where there is none of that name."""


class LocalAdapter:
    """Runs each job as a process, with this process's environment and the variables that job and adapter set."""

    config_type: ClassVar[type[BaseModel]] = LocalAdapterConfig

    def __init__(self, config: LocalAdapterConfig | None = None) -> None:
        self._config = config or LocalAdapterConfig()
        self._env = {**os.environ, **self._config.env}

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Run the command and wait for its end; see `helios.adapter.WorkerAdapter`."""
        return await run_command(
            [job.command, *job.args],
            env={**self._env, **job.env},
            cwd=job.cwd,
            timeout_seconds=job.timeout_seconds,
            stall_seconds=job.stall_seconds,
            output_file=Path(job.cwd or ".", job.output_file) if job.output_file else None,
            grace_seconds=self._config.grace_seconds,
            on_output=on_output,
        )

    async def diagnose(self) -> AsyncIterator[Finding]:
        """Look at this machine; see `helios.diagnosis.Diagnosable`."""
        free = shutil.disk_usage(".").free
        yield Finding("machine", True, f"{os.cpu_count()} CPUs, {free // 2**30} GiB free on this disk")

        async def run() -> str:
            ended = await self.execute(WorkerJob(command="true", timeout_seconds=10))
            return f"a process ran and ended in {ended.duration_ms} ms"

        yield await find("round trip", run)
