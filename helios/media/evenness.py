"""Find where motion is not even: frames that hardly differ from the one before, that are two steps away, or go back."""

from collections import deque

from helios.media.numbers import Numbers, distance
from helios.models.pictures import Uneven

DIP, DOUBLE = 0.4, 1.6
"""A frame is a dip if its step is at most this share of the steps around, and a double if it is this many times as
large. A repeated frame measured 0.00 to 0.34, a left-out frame 1.7 to 2.1."""
DOUBLE_MOST = 2.6
"""… and at most this many times: what is larger is a cut."""
EVEN = 0.2
"""Levels. The steps around are at least so large: below, encoding hides what moves."""
STEADY = 1.7
"""The steps further outside differ from those around by this factor at most: motion that slows down to turn is even."""
TURN = 1.2
"""The steps around a frame that goes back are this many times as large: they make up for it."""
SLOWER = 0.9
"""What turns round slows down before, and speeds up after: the steps around its slowest frame are at most this share of
those further outside (measured 0.56 to 0.84). Around a doubled frame motion goes on as fast as before."""
KEPT_EVENTS = 8
BOUNCE = -0.3
"""Cosine of the steps around a dip: below, something bounces."""
FORWARD, BACK = 0.5, -0.8
"""Cosines of steps that follow each other: of a left-out frame with those around at least the first; of a frame that
goes back at most the second."""


class Evenness:
    """Counts dips, doubles and turns in a sequence of fingerprints."""

    def __init__(self) -> None:
        self._pictures: deque[Numbers] = deque(maxlen=3)
        self._wide: deque[float] = deque([0.0, 0.0], maxlen=2)
        self._steps: deque[float] = deque(maxlen=5)
        self._cosines: deque[float] = deque(maxlen=4)
        self._count = 0
        self.found: dict[str, list[int]] = {"dips": [], "doubles": [], "turns": []}
        """The clear frames of each kind: the first eight."""
        self.all: list[tuple[str, int]] = []
        """All of them, clear or not: the first eight, kind and frame."""
        self.loose = 0
        """How many there are."""

    def add(self, now: Numbers) -> None:
        """Look at the next picture."""
        pictures, steps = self._pictures, self._steps
        if pictures:
            step = distance(pictures[-1], now)
            if len(pictures) > 1:
                gap, product = distance(pictures[-2], now), 2 * step * steps[-1]
                # By the law of cosines.
                self._cosines.append((gap * gap - step * step - steps[-1] ** 2) / product if product else 0.0)
            steps.append(step)
        self._wide.append(distance(pictures[0], now) if len(pictures) == 3 else 0.0)
        pictures.append(now)
        self._count += 1
        if len(steps) > 3:
            # The step before the last but one, which the last frame but two has.
            self._note(self._count - 3, len(steps) - 3)

    def finish(self) -> None:
        """Look at the last step but one."""
        if len(self._steps) > 2:
            self._note(self._count - 2, len(self._steps) - 2)

    def _note(self, frame: int, place: int) -> None:
        kind = self._kind(place)
        if kind is None:
            return
        self.loose += 1
        if len(self.all) < KEPT_EVENTS:
            self.all.append((kind, frame))
        if self._is_clear(kind, place) and len(self.found[kind]) < KEPT_EVENTS:
            self.found[kind].append(frame)

    def _kind(self, place: int) -> str | None:
        before, step, after = (self._steps[other] for other in (place - 1, place, place + 1))
        cosines = self._cosines[place - 1], self._cosines[place]
        near, far = min(before, after), max(before, after)
        if near < EVEN:
            return None
        if step <= DIP * near:
            return "dips"
        if min(cosines) >= FORWARD and DOUBLE * far <= step <= DOUBLE_MOST * near:
            return "doubles"
        if max(cosines) <= BACK and step >= EVEN and near >= TURN * step:
            return "turns"
        return None

    def _is_clear(self, kind: str, place: int) -> bool:
        """Whether motion around is steady, as far as it is known."""
        around = [self._steps[other] for other in (place - 2, place - 1, place + 1, place + 2)
                  if 0 <= other < len(self._steps)]  # fmt: skip
        if kind == "dips" and (self._turns_back(place) or self._turns_round(place)):
            return False
        if kind == "turns" or max(around) <= STEADY * min(around):
            return True
        # One of four may be uneven itself: a frame is left out soon after another was doubled.
        low, *middle, high = sorted(around)
        return len(around) > 3 and (high <= STEADY * middle[0] or middle[-1] <= STEADY * low)

    def _turns_back(self, place: int) -> bool:
        """Whether motion goes back after a dip: something bounces."""
        before, after = self._steps[place - 1], self._steps[place + 1]
        wide = self._wide[place + 1 - len(self._steps)]
        return wide * wide - before * before - after * after < 2 * BOUNCE * before * after

    def _turns_round(self, place: int) -> bool:
        """Whether motion slows down towards a dip, and speeds up after it: something turns round."""
        if not 2 <= place < len(self._steps) - 2:
            return False
        far, before, _, after, beyond = (self._steps[other] for other in range(place - 2, place + 3))
        return before <= SLOWER * far and after <= SLOWER * beyond

    def result(self) -> Uneven:
        """What was counted."""
        frames = [frame for found in self.found.values() for frame in found]
        counts = {kind: len(found) for kind, found in self.found.items()}
        return Uneven(**counts, loose=self.loose, frame=min(frames, default=0))
