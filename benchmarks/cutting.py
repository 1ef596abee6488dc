"""Chunks that are cut while a job is rendered, against the best fixed length, which is found by search."""

import statistics
from collections.abc import Sequence

from benchmarks.cutting_worlds import WORLDS, FrameWorld, run_cut, run_fixed

SIZES = ((1000, 8, 0.5), (3000, 8, 0.1), (3000, 32, 0.5))
"""Frames, slots, and seconds to start a chunk."""
TARGETS = (30.0, 5.0)
"""Seconds that a chunk is to take."""
DRAWS, SEARCH_DRAWS = 8, 3
STEP = 1.3
"""Between two lengths that the search tries."""
MOST_CHUNKS = 1000
"""Of a length that the search tries."""


def best_fixed(world: FrameWorld, *, slots: int) -> tuple[int, float]:
    """The length of chunks that takes the least time, and its median wall time."""
    frames = len(world.frames)
    lengths = sorted({round(STEP**step) for step in range(64) if frames / MOST_CHUNKS <= STEP**step <= frames})
    walls = {length: _median(world, length, slots, range(SEARCH_DRAWS)) for length in lengths}
    best = min(walls, key=lambda length: walls[length])
    return best, _median(world, best, slots, range(DRAWS))


def _median(world: FrameWorld, length: int, slots: int, seeds: Sequence[int]) -> float:
    return statistics.median(run_fixed(world, length, slots=slots, seed=seed).wall for seed in seeds)


def cutting_table(*, quick: bool = False) -> str:
    """A row for each world and size: wall times over that of the best fixed length, the worst draw in brackets."""
    lines = [
        "| world | frames on slots, start | best fixed length | "
        + " | ".join(f"cut to {target:g} s (chunks)" for target in TARGETS)
        + " |",
        f"|---|---|---|{'---|' * len(TARGETS)}",
    ]
    for make in WORLDS:
        for frames, slots, start in SIZES[:1] if quick else SIZES:
            world = make(frames, start)
            length, wall = best_fixed(world, slots=slots)
            cells = [_cell(world, target, slots, wall) for target in TARGETS]
            lines.append(f"| {world.name} | {frames:,} on {slots}, {start:g} s | {length} frames, {wall:.0f} s | "
                         f"{' | '.join(cells)} |")  # fmt: skip
    return "\n".join(lines)


def _cell(world: FrameWorld, target: float, slots: int, wall: float) -> str:
    runs = [run_cut(world, target, slots=slots, seed=seed) for seed in range(DRAWS)]
    ratios = sorted(outcome.wall / wall for outcome, _ in runs)
    chunks = statistics.median(count for _, count in runs)
    return f"{statistics.median(ratios):.2f} ({ratios[-1]:.2f}; {chunks:.0f})"
