"""How much time a worker has left, and how it was spent."""

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from helios.models.worker import WorkerTimings

T = TypeVar("T")


@dataclass
class Clock:
    """Counts from its creation.

    Args:
        remaining_seconds: When the platform ends the worker; None for never.
        boot_ms: Time from the start of the worker's process to this request, for its first request; else 0.
    """

    remaining_seconds: float | None
    boot_ms: int = 0
    fetch_ms: int = 0
    render_ms: int = 0
    verify_ms: int = 0
    upload_ms: int = 0
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Seconds until the platform ends this worker; None for never."""
        return None if self.remaining_seconds is None else self.remaining_seconds - (time.monotonic() - self.started)

    async def timed(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Await work, and add its time to a field."""
        started = time.monotonic()
        try:
            return await work
        finally:
            setattr(self, name, getattr(self, name) + round((time.monotonic() - started) * 1000))

    @property
    def timings(self) -> WorkerTimings:
        """How the time was spent so far."""
        return WorkerTimings(
            boot_ms=self.boot_ms, fetch_ms=self.fetch_ms, render_ms=self.render_ms,
            verify_ms=self.verify_ms, upload_ms=self.upload_ms,
        )  # fmt: skip
