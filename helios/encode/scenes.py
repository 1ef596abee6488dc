"""Find the pictures at which a new scene begins, by FFmpeg's filter scdet on small pictures.

docs/decisions/scenes-by-scdet.md has the measurement against PySceneDetect.
"""

from fractions import Fraction

from av.video.frame import VideoFrame

from helios.encode.filters import FilterChain

THRESHOLD = 10.0
"""Scores above it are cuts: FFmpeg's default, on its scale from 0 to 100."""
WIDTH = 320
"""Pixels of the pictures that are compared: larger ones take more time and find no more."""
SCORE = "lavfi.scd.score"


class SceneFinder:
    """Takes a video's pictures in their order, all of one kind, and tells where scenes begin."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        """Numbers of the first pictures of scenes, but for the first one."""
        self._filters: FilterChain | None = None
        self._number = 0

    def take(self, frame: VideoFrame) -> None:
        """Compare the next picture with the one before."""
        if self._filters is None:
            chain = [("scale", f"w='min({WIDTH},iw)':h=-2:flags=bilinear"), ("scdet", f"t={THRESHOLD}")]
            self._filters = FilterChain(chain, like=frame, time_base=frame.time_base or Fraction(1, 1000))
        for found in self._filters.feed(frame):
            if self._number and float(found.metadata.get(SCORE, 0)) >= THRESHOLD:
                self.cuts.append(self._number)
            self._number += 1
