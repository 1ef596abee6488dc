"""The numbers of a fingerprint: what they are, how two pictures differ, and how they become text."""

from __future__ import annotations  # array.array is generic in its stubs alone

import base64
import math
import sys
from array import array
from collections.abc import Sequence

GRID = 8
"""Blocks in a row and in a column of luma; chroma has half as many."""
LUMA, CHROMA = GRID * GRID, GRID * GRID // 4
NUMBERS = LUMA + 2 * CHROMA
PLANES = (slice(0, LUMA), slice(LUMA, LUMA + CHROMA), slice(LUMA + CHROMA, NUMBERS))
LEVEL = 256
"""Numbers of a fingerprint are this many times a level."""
ZERO = 0x8000
"""Stands for no change in the text of a change."""

Numbers = Sequence[int]
"""A fingerprint: `NUMBERS` numbers, luma first, rows from above."""


def distance(one: Numbers, other: Numbers) -> float:
    """The difference of two pictures in levels: the root of the mean square over the blocks of luma.

    The square makes a change in a few blocks (a small thing that moves) count for more than the same sum of noise.
    Chroma is left out: the same frame, encoded as the last of one chunk and as the first of another, differs by up to
    0.7 levels in luma and by up to 1.3 in chroma (x264, crf 12 to 30, 40 jobs).
    """
    return math.dist(one[:LUMA], other[:LUMA]) / (LEVEL * math.sqrt(LUMA))


def shifts(one: Numbers, other: Numbers) -> tuple[float, float]:
    """The change of the mean luma from one picture to another, and that of the chroma plane that changes more."""
    luma, blue, red = ((sum(other[plane]) - sum(one[plane])) / (LEVEL * (plane.stop - plane.start)) for plane in PLANES)
    return luma, max(blue, red, key=abs)


def pack(numbers: Numbers) -> str:
    """A fingerprint as text: 16-bit numbers, low byte first, in base64."""
    packed = array("H", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()


def unpack(text: str) -> array[int]:
    """The inverse of `pack`.

    Raises:
        ValueError: The text is not a fingerprint.
    """
    numbers = array("H")
    numbers.frombytes(base64.b64decode(text, validate=True))
    if len(numbers) != NUMBERS:
        raise ValueError(f"{len(numbers)} numbers instead of {NUMBERS}")
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def change_text(change: Sequence[int]) -> str:
    """A change of each block as text; what is larger than half of the range is cut."""
    return pack(array("H", [min(max(value + ZERO, 0), 0xFFFF) for value in change]))


def change_of(text: str) -> list[int]:
    """The inverse of `change_text`.

    Raises:
        ValueError: The text is no change.
    """
    return [value - ZERO for value in unpack(text)]
