"""Chunks that failed for good in a job that goes on without them. Nothing is joined over a hole."""

from helios.models.spec import RenderJobChunk
from tasks.prefect_api.log import RunLogger
from tasks.run.chunk_record import ChunkRecord
from tasks.run.control import RunControl
from tasks.run.errors import JobFailedError

MOST_TOLD = 5
"""Chunks whose errors are told at the end."""


class Holes:
    """The holes of one run.

    Args:
        most: How many it may have and go on.
        control: Stops it.
        log: Told of each.
    """

    def __init__(self, most: int, control: RunControl, log: RunLogger) -> None:
        self._most = most
        self._control = control
        self._log = log
        self._found: dict[int, tuple[RenderJobChunk, str]] = {}

    def add(self, record: ChunkRecord, error: str) -> None:
        """Leave a chunk out that failed for good.

        Raises:
            JobFailedError: It is one more than may fail.
        """
        chunk = record.chunk
        self._found[chunk.id] = (chunk, error)
        if len(self._found) > self._most:
            self._control.blame(f"Stopped because chunk {chunk.id} failed")
            raise JobFailedError(self._describe() if self._most else error)
        self._log.error("%s\nThe job goes on: %d of at most %d chunks have failed", error, len(self._found), self._most)

    def refuse(self, accepted: int) -> None:
        """End a job that has holes, once everything else is rendered.

        Args:
            accepted: Its accepted chunks.

        Raises:
            JobFailedError: It has some: says which frames are missing, and why.
        """
        if self._found:
            raise JobFailedError(f"{self._describe()}\n  Nothing was joined; the other {accepted} chunks are accepted")

    def _describe(self) -> str:
        found = [self._found[chunk_id] for chunk_id in sorted(self._found)]
        frames = ", ".join(f"{chunk.start_frame} to {chunk.end_frame - 1}" for chunk, _ in found[:MOST_TOLD])
        more = f" and of {len(found) - MOST_TOLD} more chunks" if len(found) > MOST_TOLD else ""
        errors = "".join(f"\n  {error}" for _, error in found[:MOST_TOLD])
        return f"{len(found)} chunks failed for good; missing are the frames {frames}{more}{errors}"
