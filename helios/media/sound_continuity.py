"""Measure whether sound goes on from one chunk to the next: by how well its samples follow from those before."""

import math
from collections.abc import Sequence
from operator import mul

from helios.media.sounds import unpack_samples
from helios.models.sound import ChunkSound

ORDER = 16
"""Samples from which the next is predicted."""


def sound_break(before: ChunkSound, after: ChunkSound) -> float:
    """How much worse the first samples of a chunk follow from those before than others do.

    Returns:
        The mean square of the errors of prediction at the seam, as a multiple of that beside it: 1 where sound goes on,
        0 where there is none.
    """
    last, first = unpack_samples(before.last), unpack_samples(after.first)
    if min(len(last), len(first)) < 4 * ORDER or not (any(last) or any(first)):
        return 0.0
    weights, usual = predictor((last, first))
    joined = [*last[-ORDER:], *first[:ORDER]]
    errors = [
        joined[place] + sum(weight * joined[place - 1 - lag] for lag, weight in enumerate(weights))
        for place in range(ORDER, 2 * ORDER)
    ]
    return _squares(errors) / (ORDER * max(usual, 1.0))


def predictor(parts: Sequence[Sequence[int]]) -> tuple[list[float], float]:
    """Find how samples follow from those before, by Burg's method over several stretches of sound.

    Returns:
        The weights, and the mean square of the errors, of the stretch in which it is largest.
    """
    forward = [list(map(float, part)) for part in parts]
    backward = [list(part) for part in forward]
    weights: list[float] = []
    for _ in range(ORDER):
        forward, backward = [part[1:] for part in forward], [part[:-1] for part in backward]
        power = sum(map(_squares, (*forward, *backward)))
        if power == 0:
            break
        k = -2 * sum(sum(map(mul, *pair)) for pair in zip(forward, backward, strict=True)) / power
        forward, backward = (
            [[f + k * b for f, b in zip(*pair, strict=True)] for pair in zip(forward, backward, strict=True)],
            [[b + k * f for f, b in zip(*pair, strict=True)] for pair in zip(forward, backward, strict=True)],
        )
        weights = [*(a + k * b for a, b in zip(weights, weights[::-1], strict=True)), k]
    return weights, max((_squares(part) / len(part) for part in forward if part), default=0.0)


def _squares(values: Sequence[float]) -> float:
    return math.fsum(map(mul, values, values))
