"""Where a chunk ends, if it is to end at a cut of the scene where there is one."""

from bisect import bisect_left
from collections.abc import Sequence

SHORTER, LONGER = 0.5, 1.3
"""By how much a chunk may be shorter and longer than wanted, to end at a cut."""


def end_near(cuts: Sequence[int], *, start: int, wanted: int, least: int, most: int) -> int:
    """Choose where a chunk ends.

    Args:
        cuts: First frames of scenes, ascending.
        start: The chunk's first frame.
        wanted: Where it should end; one past its last frame, as all ends.
        least: The first end that is allowed.
        most: The last end that is allowed; `start < least <= most`.

    Returns:
        The cut that is nearest to `wanted` and not far from it; `wanted` where there is none, within the bounds.
    """
    wanted = min(max(wanted, least), most)
    length = wanted - start
    low, high = max(least, start + round(SHORTER * length)), min(most, start + round(LONGER * length))
    place = bisect_left(cuts, wanted)
    near = [cut for cut in cuts[max(place - 1, 0) : place + 1] if low <= cut <= high]
    return min(near, key=lambda cut: abs(cut - wanted)) if near else wanted
