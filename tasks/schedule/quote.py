"""How long a job takes, and what it costs, by a sample of its chunks."""

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from tasks.schedule.expectation import Piece

SAMPLE = 3
"""Chunks of a sample: the first, the middle one, and one that is drawn."""
STUDENT = {1: 6.314, 2: 2.920}
"""Student's t for 90 of 100, two-sided, by degrees of freedom: one less than there are chunks in the sample."""
COVERED = 0.9
"""How often the range holds the truth, if the job's chunks are drawn from one normal distribution."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A chunk of the sample, rendered."""

    frames: int
    """Its frames, at least 1."""
    seconds: float
    """How long a worker had it."""
    cost: float
    """What it has cost."""


@dataclass(frozen=True, slots=True)
class Range:
    """An expectation, with the range in which the truth is expected."""

    low: float
    """Its lower end."""
    middle: float
    """What is expected."""
    high: float
    """Its upper end."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job takes."""

    slots: int
    """Chunks at a time."""
    seconds: Range
    """Until all chunks are rendered."""
    cost: Range
    """Of all chunks."""


def choose_sample(ids: Sequence[int], *, seed: int) -> list[int]:
    """The chunks of the sample, in the job's order: all of a job that has no more.

    A digest draws the third, and no generator of random numbers: the draw is the same in every version of Python.

    Args:
        ids: All chunks, in frame order.
        seed: Another one draws another chunk.
    """
    if len(ids) <= SAMPLE:
        return list(ids)
    chosen = {ids[0], ids[len(ids) // 2]}
    others = [chunk_id for chunk_id in ids if chunk_id not in chosen]
    chosen.add(min(others, key=lambda chunk_id: hashlib.sha256(f"{seed} {chunk_id}".encode()).digest()))
    return [chunk_id for chunk_id in ids if chunk_id in chosen]


def quote(pieces: Sequence[Piece], sample: Sequence[Sampled], *, slots: int) -> Quote:
    """What a job takes, so many chunks at a time.

    Args:
        pieces: All chunks, in frame order.
        sample: Some of them, rendered; at least one.
        slots: Chunks at a time, at least 1.
    """
    frames = sum(piece.frames for piece in pieces)
    seconds = _rates([one.seconds / one.frames for one in sample], total=len(pieces))
    costs = _rates([one.cost / one.frames for one in sample], total=len(pieces))
    return Quote(
        slots,
        Range(*(rendering_seconds(pieces, rate, slots=slots) for rate in (seconds.low, seconds.middle, seconds.high))),
        Range(*(rate * frames for rate in (costs.low, costs.middle, costs.high))),
    )


def rendering_seconds(pieces: Sequence[Piece], rate: float, *, slots: int) -> float:
    """When the last chunk ends, where each free slot takes the next one.

    Args:
        pieces: The chunks, in the order in which they start.
        rate: Seconds of a frame.
        slots: Chunks at a time.
    """
    free_at = [0.0] * min(slots, len(pieces))
    for piece in pieces:
        heapq.heapreplace(free_at, free_at[0] + piece.frames * rate)
    return max(free_at)


def _rates(rates: Sequence[float], *, total: int) -> Range:
    """What a frame takes on average over all chunks, by some of them.

    Args:
        rates: Of the sample's chunks.
        total: Chunks of the job: of a sample of all of them nothing is uncertain.
    """
    count, middle = len(rates), mean(rates)
    if count < 2:
        return Range(middle, middle, middle)
    half = STUDENT[min(count - 1, 2)] * stdev(rates) / sqrt(count) * sqrt(max(0.0, 1 - count / total))
    # The others take something, too: at least as if each took half of the sample's least.
    return Range(max(middle - half, min(rates) / 2), middle, middle + half)
