"""The adapter contract: one verb, over every execution environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from helios.models.worker import WorkerJob, WorkerResult
from helios.usage import WorkerSize

if TYPE_CHECKING:
    from helios.gpus import GpuPool
    from helios.storage.folder import Storage

Stream = Literal["stdout", "stderr"]

OutputSink = Callable[[Stream, str], None]
"""Called with each line of a command's output, without its line end, as it appears.

Lines over 64 KiB arrive in pieces. It runs in the event loop and must not block.
"""


@runtime_checkable
class WorkerAdapter(Protocol):
    """The caller's side of one execution environment.

    The suite `helios.testing.AdapterContract` checks every clause below.
    """

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Run one command on a worker and wait for its end.

        Cancelling the awaiting task stops the worker and everything that it started; the
        cancellation is passed on when that is done. An adapter never retries by itself.

        Returns:
            How the command ended, whatever its exit code.

        Raises:
            RequestError: It cannot run: no such program, no permission, a malformed request.
            CommandTimeoutError: It ran longer than `job.timeout_seconds` and was stopped.
            CommandStalledError: It gave no sign of life for `job.stall_seconds` and was stopped.
            WorkerUnavailableError: It did not run, or its end is unknown.
        """
        ...


@runtime_checkable
class NamesVariables(Protocol):
    """An adapter whose configuration names environment variables for commands: they are inputs of the job's chunks."""

    @property
    def named_variables(self) -> Mapping[str, str]:
        """The variables and their values, as every command gets them."""
        ...


@runtime_checkable
class StorageAdapter(WorkerAdapter, Protocol):
    """An adapter whose workers do not share this machine's disk.

    The orchestrator puts the job's documents and input files into its storage, and fetches outputs from
    there: `WorkerJob.job_url` is in it, and so is `WorkerResult.artifact`. The job's command is the one in the
    document.
    """

    @property
    def storage(self) -> Storage:
        """Where jobs and outputs are kept."""
        ...

    @property
    def assets(self) -> tuple[str, ...] | None:
        """Glob patterns of the job's input files; None for all files of the job directory."""
        ...

    @property
    def keep_objects(self) -> bool:
        """Whether what the job left in storage stays there after its success."""
        ...


@runtime_checkable
class ConnectedAdapter(WorkerAdapter, Protocol):
    """An adapter that holds connections. A run opens it before it does anything else with it, and closes it at its end.

    An adapter that was not opened is opened by its first job.
    """

    async def open(self) -> None:
        """Connect.

        Raises:
            HeliosError: It can't.
        """
        ...

    async def aclose(self) -> None:
        """Give up the connections; jobs that are still running are called off."""
        ...


@runtime_checkable
class PlacingAdapter(WorkerAdapter, Protocol):
    """An adapter that chooses among workers that differ: it heeds `WorkerJob.requires`."""

    @property
    def concurrency(self) -> int:
        """How many chunks to give it at a time, where nobody names a number: what its workers take, and a few more."""
        ...


@runtime_checkable
class BoundedAdapter(WorkerAdapter, Protocol):
    """An adapter that knows how many chunks it takes at a time."""

    @property
    def max_in_flight(self) -> int:
        """The most chunks on workers at a time."""
        ...


@runtime_checkable
class GpuAdapter(WorkerAdapter, Protocol):
    """An adapter that can hand out the GPUs of this machine."""

    @property
    def gpus(self) -> GpuPool | None:
        """The GPUs, of which each attempt gets as many as it requires, and one at least.

        None where it hands out none: then commands see all GPUs of the machine.
        """
        ...


@runtime_checkable
class SizedAdapter(Protocol):
    """An adapter that knows the size of its workers, which decides what they cost."""

    async def worker_size(self) -> WorkerSize:
        """What is known of a worker; what is not stays empty.

        Raises:
            HeliosError: The platform does not say.
        """
        ...


@runtime_checkable
class TellingAdapter(Protocol):
    """An adapter that has something to tell while a run lasts: which machines it has asked for, what they wait for."""

    def tell(self, say: Callable[[str], None]) -> None:
        """Take the function that puts a line into the run's log. It is called in the event loop."""
        ...
