"""Where scenes begin."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from helios.encode.scenes import SceneFinder, cuts_of

CUTS = [20, 45]
"""First pictures of the second and of the third scene."""


def _moving(number: int) -> NDArray[np.float64]:
    scene = np.random.default_rng(sum(number >= cut for cut in CUTS)).random((9, 32, 3)) * 255
    return np.roll(scene.repeat(16, axis=0).repeat(16, axis=1), -2 * number, axis=1)[:, :256]


def _dark(number: int) -> NDArray[np.float64]:
    return 4 + _moving(number) / 8


def _grainy(number: int) -> NDArray[np.float64]:
    return _moving(number) + np.random.default_rng(number).normal(0, 25, (144, 256, 3))


def _flashing(number: int) -> NDArray[np.float64]:
    return _moving(number) + (200 if number in {10, 33} else 0)


@pytest.mark.parametrize("paint", [_moving, _dark, _grainy, _flashing])
def test_cuts_are_found(paint: Callable[[int], NDArray[np.float64]]) -> None:
    """Cuts stand out from movement, darkness, grain and flashes of one picture, which are none."""
    finder = SceneFinder()
    for number in range(70):
        frame = VideoFrame.from_ndarray(np.clip(paint(number), 0, 255).astype(np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        finder.take(frame)
    assert cuts_of(finder.changes) == CUTS
