"""How far a job is: for the Prefect UI as a progress artifact, and for whoever listens in this process."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from typing import Any
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

ARTIFACT_KEY = "render-progress"
WRITE_SECONDS = 1.0
"""At least this long between two writes of the artifact, however many chunks finish."""


_DESCRIPTION = re.compile(r"(.+): (\d+) of (\d+) frames, (\d+) of (\d+) chunks")


@dataclass
class JobProgress:
    """Counts of one run."""

    total_frames: int
    """Frames to render."""
    total_chunks: int
    """Chunks to render."""
    frames: int = 0
    """Frames of accepted chunks."""
    chunks: int = 0
    """Accepted chunks."""
    phase: str = "rendering"
    """What is going on: rendering, stitching, merging."""

    @classmethod
    def parse(cls, description: str) -> "JobProgress | None":
        """The counts that a description tells, up to a second old; None if it is none."""
        if (found := _DESCRIPTION.fullmatch(description)) is None:
            return None
        phase, frames, total_frames, chunks, total_chunks = found.groups()
        return cls(int(total_frames), int(total_chunks), int(frames), int(chunks), phase)

    @property
    def percent(self) -> float:
        """Rendered share, 0 to 100."""
        return 100 * self.frames / self.total_frames

    @property
    def description(self) -> str:
        """`rendering: 120 of 300 frames, 4 of 10 chunks`."""
        return f"{self.phase}: {self.frames} of {self.total_frames} frames, {self.chunks} of {self.total_chunks} chunks"

    def add(self, frames: int) -> None:
        """Count an accepted chunk."""
        self.frames += frames
        self.chunks += 1
        self.tell()

    def enter(self, phase: str) -> None:
        """Say that another phase has begun."""
        self.phase = phase
        self.tell()

    def tell(self) -> None:
        """Call the listener of this process, if there is one."""
        if listener := LISTENER.get():
            listener(self)


LISTENER: ContextVar[Callable[[JobProgress], None] | None] = ContextVar("LISTENER", default=None)
"""Called in the flow's event loop on every change; the command line draws its bar from it."""


@asynccontextmanager
async def published(progress: JobProgress, logger: Logger | LoggerAdapter[Any]) -> AsyncIterator[None]:
    """Keep the flow run's progress artifact up to date within the block.

    Rendering does not depend on it: when Prefect's API can't be reached, the artifact stays behind.
    """
    writer = asyncio.create_task(_write(progress, logger))
    try:
        yield
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer


async def _write(progress: JobProgress, logger: Logger | LoggerAdapter[Any]) -> None:
    artifact: UUID | None = None
    written = ""
    try:
        while True:
            if progress.description != written:
                written = progress.description
                artifact = await _write_once(progress, artifact, logger)
            await asyncio.sleep(WRITE_SECONDS)
    finally:
        if progress.description != written:
            await _write_once(progress, artifact, logger)


async def _write_once(progress: JobProgress, artifact: UUID | None, logger: Logger | LoggerAdapter[Any]) -> UUID | None:
    try:
        if artifact is None:
            return await acreate_progress_artifact(progress.percent, ARTIFACT_KEY, progress.description)
        await aupdate_progress_artifact(artifact, progress.percent, progress.description)
    except Exception as exc:  # noqa: BLE001  whatever keeps a picture from being drawn must not end a render
        logger.warning("Progress could not be written: %s", exc)
    return artifact
