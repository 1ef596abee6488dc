"""In which order chunks start: the longest expected first, and those of about the same cost in document order.

While somebody watches the video, the one that is seen first starts first. Two heaps have the same chunks then, and what
one of them gave out is passed over in the other.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence

from tasks.schedule.expectation import Piece

ALIKE = 1.1
"""Chunks whose costs differ by less than about this factor keep the order of the document: so little gains nothing at
the end of a job, and people watch a video from its beginning."""


class Pending:
    """The chunks that are to start, in their order. Adding and taking cost the logarithm of their number.

    Args:
        pieces: All chunks of the run, in frame order.
        costs: What each is expected to cost, by chunk id, above 0.
        waiting: Ids of those that are to start now.
    """

    def __init__(self, pieces: Sequence[Piece], costs: Mapping[int, float], waiting: Iterable[int]) -> None:
        self._keys = {piece.id: (_rank(costs[piece.id]), place, piece.id) for place, piece in enumerate(pieces)}
        self._costs = costs
        self._heap = [self._keys[chunk_id] for chunk_id in waiting]
        heapq.heapify(self._heap)
        self._waiting = {chunk_id for _, _, chunk_id in self._heap}
        self._seen: list[tuple[int, int]] | None = None
        """Place and id of each, once somebody has watched."""
        self.cost = sum(costs[chunk_id] for _, _, chunk_id in self._heap)
        """What they are expected to cost together."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, chunk_id: int) -> None:
        """Have a chunk start, or start again."""
        heapq.heappush(self._heap, self._keys[chunk_id])
        self._waiting.add(chunk_id)
        if self._seen is not None:
            heapq.heappush(self._seen, (self._keys[chunk_id][1], chunk_id))
        self.cost += self._costs[chunk_id]

    def know(self, piece: Piece, cost: float) -> None:
        """Add a chunk to those that there are, behind those of about the same cost; it does not wait."""
        self._keys[piece.id] = (_rank(cost), len(self._keys), piece.id)

    def take(self, *, as_seen: bool = False) -> int:
        """Remove the chunk that is to start next, and return its id.

        Args:
            as_seen: Whether the first one of the video is next, whatever it is expected to cost.
        """
        chunk_id = self._first_seen() if as_seen else heapq.heappop(self._heap)[2]
        while chunk_id not in self._waiting:
            chunk_id = self._first_seen() if as_seen else heapq.heappop(self._heap)[2]
        self._waiting.remove(chunk_id)
        self.cost -= self._costs[chunk_id]
        return chunk_id

    def _first_seen(self) -> int:
        if self._seen is None:
            self._seen = [(self._keys[chunk_id][1], chunk_id) for chunk_id in self._waiting]
            heapq.heapify(self._seen)
        return heapq.heappop(self._seen)[1]


def _rank(cost: float) -> int:
    return -round(math.log(cost) / math.log(ALIKE))
