"""What an adapter finds when it is asked whether it would work: one finding for each thing it needs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from helios.errors import HeliosError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """Its name: credentials, storage, quota, …"""
    ok: bool
    """Whether it would do."""
    detail: str
    """What was found; where it would not do, also what to fix."""


@runtime_checkable
class Diagnosable(Protocol):
    """An adapter that can say whether it would work."""

    def diagnose(self) -> AsyncIterator[Finding]:
        """Look at everything that it needs, from here to a worker and back."""
        ...


async def find(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    """Look at one thing; what it raises is what is wrong with it."""
    try:
        return Finding(what, True, await look())
    except HeliosError as exc:
        return Finding(what, False, str(exc))
