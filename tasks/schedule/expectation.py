"""How long each chunk is expected to take, in relation to the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk, as far as it matters for a decision."""

    id: int
    """The chunk's id."""
    frames: int
    """Its frames, at least 1."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an attempt that was accepted took."""

    frames: int
    """The chunk's frames then, at least 1."""
    seconds: float
    """From the adapter's call to its answer, above 0."""

    @property
    def rate(self) -> float:
        """Seconds a frame."""
        return self.seconds / self.frames


def expect(pieces: Sequence[Piece], earlier: Mapping[int, Timing]) -> dict[int, float]:
    """What each chunk is expected to cost: in seconds where earlier runs say something, else in frames.

    A chunk that earlier runs have not timed has the seconds a frame of its nearest neighbour that they have, of the
    one before it where two are equally near.

    Args:
        pieces: All chunks, in frame order.
        earlier: What is known of them from earlier runs, by chunk id.

    Returns:
        The cost by chunk id; the costs of one job compare with each other.
    """
    known = [(place, earlier[piece.id].rate) for place, piece in enumerate(pieces) if piece.id in earlier]
    if not known:
        return {piece.id: float(piece.frames) for piece in pieces}
    costs, next_known = {}, 0
    for place, piece in enumerate(pieces):
        while next_known + 1 < len(known) and known[next_known + 1][0] - place < abs(place - known[next_known][0]):
            next_known += 1
        costs[piece.id] = known[next_known][1] * piece.frames
    return costs
