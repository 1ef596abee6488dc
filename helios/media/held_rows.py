"""Find stretches in which some rows of blocks stand still while the others move."""

import math
from collections import deque
from collections.abc import Sequence

from helios.media.evenness import KEPT_EVENTS
from helios.media.numbers import GRID
from helios.models.pictures import Held

HELD_SHARE, HELD_CATCH_UP, HELD_MOST = 0.3, 1.5, 3.0
"""A row of blocks is held if it moves by at most this share of its steps before and after, and then by the second
factor of these, and at most the third of all that it left out: more is a cut. A strip that covers a row of blocks by
two thirds leaves a third of its motion."""
HELD_EVEN, HELD_STEADY = 1.0, 2.0
"""Levels. Its two steps before and the one after are at least so large, and alike but for this factor: motion goes
on."""
PART_SHARE, PART_CATCH_UP = 0.85, 1.15
"""A row that is held for one frame needs a row beside it of which a part is: likewise, by these factors."""
STILL_SHARE, CAUGHT_MOST = 0.3, 1.25
"""… or it moves by at most this share of what it moves least otherwise, and catches up by this many times what it moves
most otherwise."""
TRIMMED = 2
"""Largest steps of a row that may be cuts."""
RESTS = 2
"""Where a row of blocks stops so many times more, while others move, its content is so: a chart's bars go through few
rows at a time."""
HELD_ROWS, HELD_MOVING = 2, 0.5
"""Meanwhile so many other rows move, by this share of their steps before or more."""
HELD_REST = 1.6
"""When it catches up, the other rows but two move by this many times their steps before at most: it is no cut. Two rows
may be covered in part."""


class HeldRows:
    """Looks for stretches in which some rows of blocks are held."""

    def __init__(self) -> None:
        self._rows = [_Row() for _ in range(GRID)]
        self._last = [0.0] * GRID
        self._found: list[tuple[Held, tuple[float, float]]] = []

    def add(self, index: int, steps: Sequence[float]) -> None:
        """Look at the next step of each row."""
        rows = self._rows
        for number, (row, step) in enumerate(zip(rows, steps, strict=True)):
            if row.has_caught_up(step):
                beside = [n for n in (number - 1, number + 1) if 0 <= n < GRID]
                is_wide = row.frames > 1 or any(rows[n].has_in_part(steps[n]) for n in beside)
                found = Held(row=number, start=row.start, frames=row.frames, is_clear=is_wide)
                self._found = [*self._found, (found, row.ends)][-KEPT_EVENTS:]
        held = [row.is_held(step) for row, step in zip(rows, steps, strict=True)]
        moving = sum(step >= HELD_MOVING * row.usual >= HELD_MOVING * HELD_EVEN
                     for row, step in zip(rows, steps, strict=True))  # fmt: skip
        free = [n for n in range(GRID) if not held[n] and not rows[n].frames and steps[n] > 0]
        calm = sum(steps[n] <= HELD_REST * self._last[n] for n in free)
        for row, step, is_held in zip(rows, steps, held, strict=True):
            if is_held and (row.frames or moving >= HELD_ROWS):
                row.hold(index, step, is_alone=moving >= HELD_ROWS)
            else:
                is_alone = calm >= max(HELD_ROWS, len(free) - HELD_ROWS)
                row.move(step, is_alone=is_alone, is_amid=moving >= HELD_ROWS)
        self._last = list(steps)

    def held(self) -> Held | None:
        """The longest stretch in which a row stands still alone, while motion goes on as before it."""
        found = [
            held.model_copy(update={"is_clear": True})
            for held, ends in self._found
            if (held.is_clear or self._rows[held.row].is_unlike(*ends)) and not self._rows[held.row].rests
        ]
        return max(found, key=lambda held: held.frames, default=None)


class _Row:
    """What is known of a row of blocks up to now."""

    def __init__(self) -> None:
        self._before: deque[float] = deque([0.0, 0.0], maxlen=2)
        """Its last two steps, or those before it was held."""
        self.start, self.frames, self._alone, self._most_still = 0, 0, 0, 0.0
        self._all: deque[float] = deque([0.0] * 4, maxlen=4)
        self._caught_up: float | None = None
        """The step just now, if it ended a stretch."""
        self._least, self._most = math.inf, [0.0]
        """What it moves least, and most, where it is not held."""
        self._rests = 0
        """How often it stops while other rows move, without being held."""

    @property
    def usual(self) -> float:
        """Its last step while it moved."""
        return self._before[-1]

    @property
    def ends(self) -> tuple[float, float]:
        """The largest step while it was held, and the step that ended this."""
        return self._most_still, self._caught_up or 0.0

    def is_unlike(self, still: float, caught_up: float) -> bool:
        """Whether it neither is so still otherwise, nor moves so far as when it caught up."""
        return (
            self._least >= HELD_EVEN and still <= STILL_SHARE * self._least and caught_up >= CAUGHT_MOST * self._most[0]
        )

    @property
    def rests(self) -> bool:
        """Whether it stops otherwise too, while other rows move."""
        return self._rests >= RESTS

    def is_held(self, step: float) -> bool:
        return self._caught_up is None and step <= HELD_SHARE * min(self._before) and min(self._before) >= HELD_EVEN

    def hold(self, index: int, step: float, *, is_alone: bool) -> None:
        if not self.frames:
            self.start, self._alone, self._most_still = index, 0, 0.0
        self._all.append(step)
        self.frames += 1
        self._alone += is_alone
        self._most_still = max(self._most_still, step)

    def has_in_part(self, after: float) -> bool:
        """Whether a part of it was held for one frame before the last step."""
        _, before, step, caught_up = self._all
        slow, fast = sorted((before, after))
        return slow >= HELD_EVEN and step <= PART_SHARE * slow and caught_up >= PART_CATCH_UP * fast

    def move(self, step: float, *, is_alone: bool, is_amid: bool) -> None:
        self._all.append(step)
        if is_amid and not self.frames:
            self._rests += step <= HELD_SHARE * min(self._before) and max(self._before) >= HELD_EVEN
        if self._caught_up is not None:
            self._caught_up, self.frames = None, 0
            self._before.extend((step, step))
        elif self.frames and is_alone and 2 * self._alone >= self.frames:
            self._caught_up = step
        else:
            self._rests += self.frames > 0
            self.frames = 0
            self._before.append(step)
            self._least, self._most = min(self._least, step), sorted((*self._most, step))[-TRIMMED:]

    def has_caught_up(self, after: float) -> bool:
        """Whether the step before this one was that of a row that catches up."""
        if self._caught_up is None:
            return False
        slow, fast = min(*self._before, after), max(*self._before, after)
        is_steady = slow >= max(HELD_EVEN, fast / HELD_STEADY, self._most_still / HELD_SHARE)
        least, most = HELD_CATCH_UP * max(self.usual, after), HELD_MOST * fast * (self.frames + 1)
        if is_steady and least <= self._caught_up <= most:
            return True
        self._rests += 1  # it does not go on as before
        return False
