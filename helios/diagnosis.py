"""What an adapter finds when it is asked whether it would work: one finding for each thing it needs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from helios.errors import HeliosError


@dataclass(frozen=True)
class Finding:
    """The result of checking one thing."""

    what: str
    """Its name: credentials, storage, quota, …"""
    ok: bool
    """Whether it works."""
    detail: str
    """What was found; if it does not work, also what to fix."""


@runtime_checkable
class Diagnosable(Protocol):
    """An adapter that can say whether it would work."""

    def diagnose(self) -> AsyncIterator[Finding]:
        """Look at everything that it needs, from here to a worker and back."""
        ...


async def find(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    """Check one thing; an error that `look` raises is the finding's detail."""
    try:
        return Finding(what, True, await look())
    except HeliosError as exc:
        return Finding(what, False, str(exc))
