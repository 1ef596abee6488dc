"""Find stretches in which some rows of blocks stand still while the others move."""

import math
from collections.abc import Sequence

from helios.media.evenness import KEPT_EVENTS
from helios.media.numbers import GRID
from helios.models.pictures import Held

HELD_SHARE, HELD_CATCH_UP = 0.3, 1.5
"""A row of blocks is held if it moves by at most this share of its step before, and then by this many times that. A
strip that covers a row of blocks by two thirds leaves a third of its motion."""
HELD_EVEN = 0.25
"""Levels. Its step before is at least so large."""
HELD_ROWS, HELD_MOVING = 2, 0.5
"""Meanwhile so many other rows move, by this share of their steps before or more."""
HELD_REST = 1.6
"""When it catches up, the other rows but two move by this many times their steps before at most: it is no cut. Two rows
may be covered in part."""
HELD_STILL, HELD_MOST = 0.3, 1.25
"""It moves by at most this share of what it moves least otherwise, or catches up by this many times what it moves most
otherwise; if both, it is clear."""
TRIMMED = 2
"""Largest steps of a row that may be cuts."""


class HeldRows:
    """Looks for stretches in which some rows of blocks are held."""

    def __init__(self) -> None:
        self._before = [0.0] * GRID
        """The last step of each row, or that before it was held."""
        self._last = [0.0] * GRID
        self._start, self._frames, self._most_still = [0] * GRID, [0] * GRID, [0.0] * GRID
        self._least: list[float] = [math.inf] * GRID
        self._most: list[list[float]] = [[] for _ in range(GRID)]
        self._found: list[tuple[float, float, Held]] = []

    def add(self, index: int, steps: Sequence[float]) -> None:
        """Look at the next step of each row."""
        held = [
            step <= HELD_SHARE * before and before >= HELD_EVEN
            for step, before in zip(steps, self._before, strict=True)
        ]
        moving = sum(
            step >= HELD_MOVING * before >= HELD_MOVING * HELD_EVEN
            for step, before in zip(steps, self._before, strict=True)
        )
        free = [row for row in range(GRID) if not held[row] and not self._frames[row] and steps[row] > 0]
        calm = sum(steps[row] <= HELD_REST * self._last[row] for row in free)
        for row, step in enumerate(steps):
            if held[row] and moving >= HELD_ROWS:
                self._hold(row, index, step)
            else:
                self._free(row, step, is_alone=calm >= max(HELD_ROWS, len(free) - HELD_ROWS))
        self._last = list(steps)

    def _hold(self, row: int, index: int, step: float) -> None:
        if not self._frames[row]:
            self._start[row], self._most_still[row] = index, 0.0
        self._frames[row] += 1
        self._most_still[row] = max(self._most_still[row], step)

    def _free(self, row: int, step: float, *, is_alone: bool) -> None:
        if self._frames[row] and is_alone and step >= HELD_CATCH_UP * self._before[row]:
            found = Held(row=row, start=self._start[row], frames=self._frames[row])
            self._found = [*self._found, (self._most_still[row], step, found)][-KEPT_EVENTS:]
        elif not self._frames[row]:
            self._least[row] = min(self._least[row], step)
            self._most[row] = sorted((*self._most[row], step))[-TRIMMED:]
        self._frames[row], self._before[row] = 0, step

    def held(self) -> Held | None:
        """The longest stretch in which a row is stiller than otherwise, or after which it moves further."""
        found = []
        for still, caught, held in self._found:
            least, most = self._least[held.row], self._most[held.row]
            if least < HELD_EVEN or not most:
                continue
            is_still, is_caught = still <= HELD_STILL * least, caught >= HELD_MOST * most[0]
            if is_still or is_caught:
                found.append(held.model_copy(update={"is_clear": is_still and is_caught}))
        return max(found, key=lambda held: (held.is_clear, held.frames), default=None)
