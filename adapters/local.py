"""Workers that are processes on this machine."""

import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from helios.adapter import OutputSink
from helios.diagnosis import Finding, find
from helios.errors import HeliosError
from helios.gpus import GpuPool, gpu_names, gpu_variables, named_twice
from helios.models.requires import MAX_GPUS, NOTHING
from helios.models.worker import WorkerJob, WorkerResult, WorkerTimings
from helios.processes.attempt_folder import (
    AttemptFolders,
    attempt_environment,
    own_temporary_folder,
    remove_abandoned,
)
from helios.processes.command import DEFAULT_GRACE_SECONDS, run_command
from helios.processes.command_user import CommandUser
from helios.processes.environment import clean_environment, named_variables
from helios.processes.sandbox import open_sandbox


def _check_name(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError("a variable's name, or a glob pattern of names such as LICENCE_*")
    return name


VariableName = Annotated[str, AfterValidator(_check_name)]
"""A variable's name, or a glob pattern of names."""
GpuName = Annotated[
    str, BeforeValidator(lambda value: str(value) if type(value) is int else value), Field(pattern=r"^[\w.:/-]{1,80}$")
]
"""A GPU, as CUDA_VISIBLE_DEVICES names it: `0`, or a UUID such as `GPU-8f9c…`."""
LOCKED_GPUS = "gpus"
"""Folder of the GPUs' locks, in this user's temporary folder."""
LONGEST_TEMPORARY = 41
"""Bytes: a socket's path has at most 107, an attempt's part of it takes up to 19, Chromium's 47."""


class LocalAdapterConfig(BaseModel):
    """Run each chunk's command as a process on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="local")

    type: Literal["local"] = "local"
    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = DEFAULT_GRACE_SECONDS
    """How long a command that is stopped may take to end by itself before it is killed."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables set for every command."""
    pass_env: tuple[VariableName, ...] = ()
    """Names or glob patterns of variables of this process that commands get in addition to the usual ones. What looks
    like a credential, only by its exact name."""
    sandbox: Literal["bubblewrap"] | None = None
    """Run every command in a sandbox in which the job directory and TMPDIR alone are writable. None for no sandbox."""
    sandbox_network: bool = False
    """Whether commands in a sandbox may use the network."""
    gpus: (
        Annotated[int, Field(ge=1, le=MAX_GPUS, strict=True)]
        | Annotated[tuple[GpuName, ...], Field(min_length=1, max_length=MAX_GPUS)]
        | None
    ) = None
    """GPUs that are handed out to commands: their names, or how many there are. Each attempt has as many as its chunk
    requires, and one at least. None for commands that see all of them."""
    chunks_per_gpu: Annotated[int, Field(ge=1, le=MAX_GPUS, strict=True)] = 1
    """How many attempts may have the same GPU at a time."""
    concurrency_limit: Annotated[str, Field(min_length=1)] | None = None
    """Name of a global concurrency limit in Prefect, which bounds the chunks in flight over all jobs. By default
    `helios-local-HOSTNAME`; no bound where there is none of that name."""

    @field_validator("gpus")
    @classmethod
    def _each_once(cls, gpus: int | tuple[str, ...] | None, info: ValidationInfo) -> int | tuple[str, ...] | None:
        if gpus is None:
            return None
        if not isinstance(gpus, int) and (twice := named_twice(gpus)):
            raise ValueError(
                f"each GPU once, but {twice} is named twice; chunks_per_gpu says how many chunks share one"
            )
        if both := sorted(gpu_variables(("0",)).keys() & info.data.get("env", {}).keys()):
            raise ValueError(f"no variable of GPUs in env, where {both[0]} is set; leave out one of the two")
        return gpus


class LocalAdapter:
    """Runs each job as a process with a clean environment and a TMPDIR of its own.

    Folders that attempts of killed processes have left are removed when an adapter is made, as each run does.

    Raises:
        RequestError: The configuration asks for a sandbox that does not work here, or for more GPUs than this process
            was given.
    """

    config_type: ClassVar[type[BaseModel]] = LocalAdapterConfig

    def __init__(self, config: LocalAdapterConfig | None = None) -> None:
        self._config = config or LocalAdapterConfig()
        self.named_variables = {**named_variables(self._config.pass_env), **self._config.env}
        """The variables that the configuration names."""
        self._env = {**clean_environment(self._config.pass_env), **self._config.env}
        self._sandbox = open_sandbox(network=self._config.sandbox_network) if self._config.sandbox else None
        self._user = CommandUser.from_environment()
        self._named = {**(self._user.environment if self._user else {}), **self._config.env}
        temporary = own_temporary_folder()
        remove_abandoned(temporary)
        self._folders = AttemptFolders(temporary)
        self.gpus = _gpus(self._config, temporary)
        """The GPUs that it hands out; None where commands see all of them."""

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Run the command and wait for its end; see `helios.adapter.WorkerAdapter`."""
        if self.gpus is None:
            return await self._run(job, {}, on_output)
        asked = time.monotonic()
        async with self.gpus.taken(max(1, (job.requires or NOTHING).gpus)) as gpus:
            waited = round((time.monotonic() - asked) * 1000)
            try:
                ended = await self._run(job, gpu_variables(gpus), on_output)
            except HeliosError as exc:
                exc.gpus, exc.rendered_by, exc.waited_ms = gpus, os.uname().nodename, waited
                raise
        timings = WorkerTimings(wait_ms=waited, render_ms=ended.duration_ms)
        return ended.model_copy(update={"gpus": gpus, "timings": timings})

    async def _run(self, job: WorkerJob, gpus: dict[str, str], on_output: OutputSink | None) -> WorkerResult:
        async with self._folders.attempt() as folder:
            if self._user is not None:
                self._user.let_through(folder.parent.parent, folder.parent)
                self._user.give(folder)
            ended = await run_command(
                [job.command, *job.args],
                env={**attempt_environment(folder.parent, folder), **self._env, **self._named, **job.env, **gpus},
                cwd=job.cwd,
                wrapper=self._wrapper(folder, job),
                user=self._user,
                timeout_seconds=job.timeout_seconds,
                stall_seconds=job.stall_seconds,
                output_file=Path(job.cwd or ".", job.output_file) if job.output_file else None,
                grace_seconds=self._config.grace_seconds,
                on_output=on_output,
            )
        return ended.model_copy(update={"rendered_by": os.uname().nodename})

    def _wrapper(self, temporary: Path, job: WorkerJob) -> list[str]:
        """What puts the command into its sandbox, if one is asked for."""
        if self._sandbox is None:
            return []
        folder = Path(job.job_dir or job.cwd or ".")
        return self._sandbox.around([temporary, *([folder] if job.cwd and folder.is_dir() else [])])

    async def diagnose(self) -> AsyncIterator[Finding]:
        """Look at this machine; see `helios.diagnosis.Diagnosable`."""
        free = shutil.disk_usage(".").free
        yield Finding("machine", True, f"{os.cpu_count()} CPUs, {free // 2**30} GiB free on this disk")
        yield _look_at(own_temporary_folder())
        yield Finding("environment", True, f"commands get {', '.join(sorted({*self._env, 'TMPDIR'}))}")
        if self.gpus is not None:
            names = ", ".join(self.gpus.names)
            yield Finding("GPUs", True, f"{names}; {self.gpus.chunks_per_gpu} chunks at a time on each")
        if self._sandbox is not None:
            yield Finding("sandbox", True, f"{self._sandbox.version} works")

        async def run() -> str:
            ended = await self.execute(WorkerJob(command="true", timeout_seconds=10))
            return f"a process ran and ended in {ended.duration_ms} ms"

        yield await find("round trip", run)


def _gpus(config: LocalAdapterConfig, temporary: Path) -> GpuPool | None:
    if config.gpus is None:
        return None
    names = gpu_names(config.gpus) if isinstance(config.gpus, int) else config.gpus
    return GpuPool(names, chunks_per_gpu=config.chunks_per_gpu, locks=temporary / LOCKED_GPUS)


def _look_at(temporary: Path) -> Finding:
    """How much room there is for TMPDIRs, and whether sockets fit into them."""
    detail = f"{temporary}, {shutil.disk_usage(temporary).free // 2**30} GiB free"
    if (length := len(os.fsencode(temporary))) > LONGEST_TEMPORARY:
        detail += f"; its path has {length} bytes, and Chromium's sockets need at most {LONGEST_TEMPORARY}: if a "
        detail += "renderer fails over one, set TMPDIR to a shorter folder"
    return Finding("temporary", True, detail)
