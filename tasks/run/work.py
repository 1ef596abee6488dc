"""What is still to be done of a run: chunks to take from the cache, chunks to render, chunks to audit."""

import asyncio
from collections import deque
from collections.abc import Sequence, Set

from helios.models.spec import RenderJobChunk


class Work:
    """The queues of one run, used in its event loop alone.

    Args:
        chunks: All chunks, in frame order.
        cached: Ids of those that are in the cache.
    """

    def __init__(self, chunks: Sequence[RenderJobChunk], cached: Set[int]) -> None:
        self.cached = deque(chunk for chunk in chunks if chunk.id in cached)
        """To be taken from the cache; `decide` is called for each."""
        self.chunks = deque(chunk for chunk in chunks if chunk.id not in cached)
        """To be rendered, in this order."""
        self.audits: deque[RenderJobChunk] = deque()
        """Accepted, and to be rendered a second time: behind all chunks, which they are not to delay."""
        self._undecided = len(self.cached)
        self._changed = asyncio.Event()

    async def has_more(self) -> bool:
        """Whether something is to be rendered; waits while the cache may still leave something."""
        while not self.chunks and not self.audits and self._undecided:
            self._changed.clear()
            await self._changed.wait()
        return bool(self.chunks or self.audits)

    def decide(self) -> None:
        """Say that a chunk of the cache is settled, or was added to `chunks`."""
        self._undecided -= 1
        self._changed.set()
