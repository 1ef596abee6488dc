"""What asks a live run to pause, to go on, or to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prefect.client.schemas.objects import State

from helios.models.report import RunState
from tasks.run.errors import JOB_CANCELLED


class RunControl:
    """The control of one run, used in its event loop alone.

    Args:
        cancel: Cancels the flow's task.
    """

    def __init__(self, cancel: Callable[[], None] = lambda: None) -> None:
        self.gate = asyncio.Event()
        """Closed while the run is paused: nothing new starts."""
        self.gate.set()
        self.in_flight = 0
        """Attempts and joins that run now."""
        self.is_stopping = False
        """Whether the run was asked to stop."""
        self.ends_as = RunState.CANCELLED
        """How a run that is stopped ends."""
        self.suspension: State[Any] | None = None
        """The state that asked this process to end, if the run is to go on in another process."""
        self.is_passed_on = False
        """Whether another process of the same run has the job: this one leaves the run's state alone."""
        self.stops_in_flight = False
        """Whether what is in flight is stopped when the run is suspended; else it is finished."""
        self.is_done = False
        """Whether everything is rendered and joined: a process that only reports is not suspended."""
        self._reason: str | None = None
        self._cancel = cancel

    @property
    def stop_reason(self) -> str:
        """The reason for which chunks are stopped."""
        return self._reason or JOB_CANCELLED

    def blame(self, reason: str) -> None:
        """Say why chunks are about to be stopped; only the first reason counts."""
        self._reason = self._reason or reason

    def stop(self, reason: str, ends_as: RunState = RunState.CANCELLED) -> None:
        """End the run: chunks in flight are stopped, nothing new starts. Only the first call counts.

        Args:
            reason: Why.
            ends_as: How the run ends.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        self.ends_as = ends_as
        self.blame(reason)
        self._cancel()

    @asynccontextmanager
    async def underway(self) -> AsyncIterator[None]:
        """Count work within the block as in flight: a pause delays its start, and lets it finish once it has begun."""
        await self.gate.wait()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
