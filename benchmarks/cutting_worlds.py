"""Worlds whose frames have a cost each, so that a job can be cut into chunks of any length."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from benchmarks.virtual_time import Fate, Order, Outcome, Simulation
from tasks.schedule.cutting import Cutter, Wanted

JITTER = 0.2
"""Coefficient of variation of a chunk's time."""


@dataclass(frozen=True)
class FrameWorld:
    """A job whose frames cost something each."""

    name: str
    """For people."""
    frames: Sequence[float]
    """Seconds of each."""
    start_seconds: float
    """Of each chunk, before its first frame."""
    jitter: float = JITTER
    """Coefficient of variation of a chunk's time."""


def _drawn(key: str) -> float:
    chance = (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) + 0.5) / 2**48
    return NormalDist().inv_cdf(chance)


def flat(frames: int, start: float) -> FrameWorld:
    """All frames cost the same."""
    return FrameWorld("all alike", [0.1] * frames, start)


def growing(frames: int, start: float) -> FrameWorld:
    """Frames get twenty times dearer from the first to the last."""
    return FrameWorld("growing ×20", [(1 + 19 * one / (frames - 1)) * 0.1 / 10.5 for one in range(frames)], start)


def falling(frames: int, start: float) -> FrameWorld:
    """Frames get twenty times cheaper."""
    return FrameWorld("falling ×20", list(reversed(growing(frames, start).frames)), start)


def scenes(frames: int, start: float) -> FrameWorld:
    """Seven scenes of other costs, from one to thirty."""
    costs = (1, 8, 2, 30, 4, 1, 15)
    return FrameWorld("scenes 1 to 30", [costs[one * len(costs) // frames] * 0.1 / 8.7 for one in range(frames)], start)


def peak(frames: int, start: float) -> FrameWorld:
    """A twentieth of the frames costs forty times as much."""
    return FrameWorld("a peak ×40", [0.1 / 2.95 * (40 if 0.7 <= one / frames < 0.75 else 1) for one in range(frames)],
                      start)  # fmt: skip


WORLDS: tuple[Callable[[int, float], FrameWorld], ...] = (flat, growing, falling, scenes, peak)


def run_fixed(world: FrameWorld, length: int, *, slots: int, seed: int) -> Outcome:
    """Run the job in chunks of one length, in document order."""
    ranges = [(start, min(length, len(world.frames) - start)) for start in range(0, len(world.frames), length)]
    draw = _draws(world, seed)
    return Simulation(
        [count for _, count in ranges],
        slots=slots,
        draw=lambda chunk, _number, _slot: Fate(draw(*ranges[chunk])),
        order=Order("fixed"),
    ).run()


def run_cut(world: FrameWorld, target_seconds: float, *, slots: int, seed: int) -> tuple[Outcome, int]:
    """Run the job as it is cut on the way; return also the number of chunks."""
    frames, draw = len(world.frames), _draws(world, seed)
    cutter = Cutter(0, frames, wanted=Wanted(target_seconds), slots=slots, most=frames)

    def fate(chunk: int, _number: int, _slot: int) -> Fate:
        cut = one.cuts[chunk]
        return Fate(draw(cut.start, cut.frames))

    one = Simulation([], slots=slots, draw=fate, order=Order("cut"), cutter=cutter)
    outcome = one.run()
    assert sorted((cut.start, cut.end) for cut in one.cuts.values())[-1][1] == frames
    return outcome, len(one.cuts)


def _draws(world: FrameWorld, seed: int) -> Callable[[int, int], float]:
    sums = [0.0, *accumulate(world.frames)]
    sigma = math.sqrt(math.log(1 + world.jitter**2))

    def draw(start: int, count: int) -> float:
        factor = math.exp(sigma * _drawn(f"{seed} {start} {count}") - sigma**2 / 2)
        return (world.start_seconds + sums[start + count] - sums[start]) * factor

    return draw
