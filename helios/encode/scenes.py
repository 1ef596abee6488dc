"""Find the pictures at which a new scene begins, by what FFmpeg's filter scdet measures on small pictures.

docs/decisions/scenes-by-scdet.md has the measurement against PySceneDetect, and against scdet's own threshold.
"""

from array import array
from collections.abc import Sequence
from fractions import Fraction

from av.video.frame import VideoFrame

from helios.encode.filters import FilterChain

NEIGHBOURS = 6
"""Pictures on each side whose change a cut is compared with: a moving camera, grain and flashes change them as well."""
TIMES = 2.0
"""So many times as large as the largest of theirs is the change at a cut."""
LEAST = 1.0
"""The smallest change at a cut, on scdet's scale from 0 to 100: a dark scene's is about 2, a still picture's noise
about 0.1."""
WIDTH = 320
"""Pixels of the pictures that are compared: larger ones take more time and find no more."""
CHANGE = "lavfi.scd.mafd"
"""What scdet says of a picture: the mean absolute difference to the one before."""


class SceneFinder:
    """Takes a video's pictures in their order, all of one kind, and measures how each differs from the last one."""

    def __init__(self) -> None:
        self._changes = array("f")
        self._filters: FilterChain | None = None

    def take(self, frame: VideoFrame) -> None:
        """Compare the next picture with the one before."""
        if self._filters is None:
            chain = [("scale", f"w='min({WIDTH},iw)':h=-2:flags=bilinear"), ("scdet", "")]
            self._filters = FilterChain(chain, like=frame, time_base=frame.time_base or Fraction(1, 1000))
        for found in self._filters.feed(frame):
            self._changes.append(float(found.metadata.get(CHANGE, 0)))

    def end(self) -> None:
        """Let go of the pictures that are kept for the next one."""
        self._filters = None

    @property
    def changes(self) -> tuple[float, ...]:
        """For each picture how much it differs from the one before, on scdet's scale; 0 for the first."""
        return tuple(self._changes)


def cuts_of(changes: Sequence[float]) -> list[int]:
    """Numbers of the first pictures of scenes, but for the first one, by how much each differs from the one before."""
    return [number for number in range(1, len(changes)) if _is_cut(changes, number)]


def _is_cut(changes: Sequence[float], number: int) -> bool:
    change = changes[number]
    if change < LEAST:
        return False
    before = changes[max(number - NEIGHBOURS, 1) : number]
    after = changes[number + 1 : number + 1 + NEIGHBOURS]
    return change >= TIMES * max([*before, *after], default=0.0)
