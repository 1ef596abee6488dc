"""What a platform bills of workers: their size, and what one execution used. Imports the standard library alone."""

from dataclasses import dataclass

MIB_IN_GIB = 1024


@dataclass(frozen=True, slots=True)
class WorkerSize:
    """What is known of an adapter's workers that decides their price."""

    vcpus: float | None = None
    """CPUs of a worker."""
    memory_mib: int | None = None
    """Its memory, in MiB."""
    architecture: str | None = None
    """`x86_64` or `arm64`."""
    region: str | None = None
    """Where it runs, as the platform names it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one execution on a worker used, as its platform or its worker says."""

    milliseconds: int
    """Time that is billed, before the platform rounds it up."""
    memory_mib: int | None = None
    """The worker's memory in MiB, where the platform says it."""
    requests: int = 1
    """Requests that are billed; 0 where no worker took it on, which is billed nowhere."""


UNBILLED = Usage(milliseconds=0, requests=0)
"""What an execution used that no worker took on."""
