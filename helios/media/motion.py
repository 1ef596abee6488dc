"""Take statistics of how blocks change from frame to frame while a chunk is decoded. They are bounded."""

from __future__ import annotations  # array.array is generic in its stubs alone

import math
from array import array
from collections import deque

from helios.media.evenness import Evenness
from helios.media.held_rows import HeldRows
from helios.media.numbers import GRID, LEVEL, LUMA, NUMBERS, Numbers, change_text, distance, pack
from helios.models.pictures import Flash, Held, Rough, Uneven

ROWS = tuple(slice(GRID * row, GRID * (row + 1)) for row in range(GRID))
BANDS = GRID + 2
USUAL = 7
"""The largest roughness of a band that is kept as usual. A cut makes three frames rough."""


class MotionTaker:
    """Takes the fingerprints of one chunk, in the order in which they are shown."""

    def __init__(self) -> None:
        self._count = 0
        self._last: deque[Numbers] = deque(maxlen=4)
        self._events = Evenness()
        self._rows = HeldRows()
        self._spark: Flash | None = None
        self._rough_blocks = [0] * NUMBERS
        self._bands: list[list[float]] = [[] for _ in range(BANDS)]
        self._most, self._frame, self._change = -1, 0, [0] * NUMBERS

    def add(self, now: Numbers) -> None:
        """Look at the next picture's fingerprint."""
        index, self._count = self._count, self._count + 1
        last = self._last
        if last:
            steps = [_row_distance(last[-1], now, row) for row in ROWS]
            self._rows.add(index, steps)
        self._events.add(now)
        if len(last) > 1:
            self._note_spark(index - 1, last[-2], last[-1], now)
        if len(last) > 2:
            self._note_rough(index - 1, roughness(last[-3], last[-2], last[-1], now))
        last.append(now)

    def _note_spark(self, index: int, before: Numbers, frame: Numbers, after: Numbers) -> None:
        around = distance(before, after) * LEVEL
        least = 0 if self._spark is None else round((self._spark.height - self._spark.gap) * LEVEL)
        best, gap = least, 0
        for a, b, c in zip(before[:LUMA], frame[:LUMA], after[:LUMA], strict=True):
            if (b - a) * (b - c) > 0 and (height := min(abs(b - a), abs(b - c)) - abs(c - a)) > max(best, around):
                best, gap = height, abs(c - a)
        if best > least:
            self._spark = Flash(frame=index, height=round((best + gap) / LEVEL, 4), gap=round(gap / LEVEL, 4))

    def _note_rough(self, index: int, rough: list[int]) -> None:
        sizes = [abs(value) for value in rough]
        self._rough_blocks = list(map(max, self._rough_blocks, sizes))
        for kept, size in zip(self._bands, band_sizes(rough), strict=True):
            if len(kept) < USUAL or size > kept[0]:
                kept.append(size)
                kept.sort()
                del kept[:-USUAL]
        if (most := max(sizes)) > self._most:
            self._most, self._frame, self._change = most, index, rough

    def spark(self) -> Flash | None:
        """The frame of which a block stands out most."""
        return self._spark

    def held(self) -> Held | None:
        """The longest stretch in which a row stands still alone."""
        return self._rows.held()

    def uneven(self) -> Uneven | None:
        """Where motion is not even."""
        self._events.finish()
        return self._events.result() if self._count > 3 else None

    def rough(self) -> Rough | None:
        """How far motion is from being smooth."""
        if self._count < 4:
            return None
        return Rough(
            bands=tuple(round(kept[-1], 4) for kept in self._bands),
            usual=tuple(round(kept[0], 4) for kept in self._bands),
            blocks=pack(array("H", [min(value, 0xFFFF) for value in self._rough_blocks])),
            frame=self._frame,
            change=change_text(self._change),
        )


def roughness(one: Numbers, two: Numbers, three: Numbers, four: Numbers) -> list[int]:
    """How suddenly each block changes between the second and the third of four frames, in numbers of fingerprints."""
    return [(3 * (c - b) + a - d) // 2 for a, b, c, d in zip(one, two, three, four, strict=True)]


def band_sizes(rough: list[int]) -> list[float]:
    """The size of a roughness in each row of blocks of luma, in all of luma, and in all of chroma, in levels."""
    rows = [_size(rough[row]) for row in ROWS]
    return [*rows, math.sqrt(sum(row * row for row in rows) / GRID), _size(rough[LUMA:])]


def _row_distance(one: Numbers, other: Numbers, row: slice) -> float:
    return math.dist(one[row], other[row]) / (LEVEL * math.sqrt(GRID))


def _size(values: list[int]) -> float:
    return math.hypot(*values) / (LEVEL * math.sqrt(len(values)))
