"""A frame's number as squares along its lower edge, which survive a video codec."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 16
"""Numbers from 0 to 65535; the lowest bit is on the right."""
SIZE = 14
"""Pixels of a square, in frames of 1280×720."""
MARGIN = 20
"""Pixels between the squares and the frame's edges."""


def draw(image: NDArray[np.uint8], number: int) -> None:
    """Draw a number into a frame, in place.

    Args:
        image: RGB, shape (height, width, 3).
        number: 0 to 65535.
    """
    for bit, (rows, columns) in enumerate(_squares(image.shape[0], image.shape[1])):
        image[rows, columns] = 235 if number >> bit & 1 else 20


def read(image: NDArray[Any]) -> int:
    """Read a frame's number.

    Args:
        image: Gray, shape (height, width).
    """
    number = 0
    for bit, (rows, columns) in enumerate(_squares(*image.shape)):
        if image[rows, columns][4:-4, 4:-4].mean() > 127:
            number |= 1 << bit
    return number


def _squares(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each square, from the lowest bit to the highest."""
    top = height - MARGIN - SIZE
    lefts = [width - MARGIN - SIZE - bit * (SIZE + 2) for bit in range(BITS)]
    return [(slice(top, top + SIZE), slice(left, left + SIZE)) for left in lefts]
