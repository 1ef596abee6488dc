"""`--target`: for each chunk the largest quantiser that is good enough, by encodes of a sample."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from helios.errors import RequestError

MOST_PROBES = 7
"""Six are enough to find one of 63 by halving; one more lets guesses be nearer to where the score says it is."""
DECIBELS_A_STEP = 0.5
"""By about so much the score falls from a quantiser to the next: a first guess, until two were tried."""
METRICS = ("xpsnr",)
HIGHEST_TARGET = 90.0


@dataclass(frozen=True)
class Target:
    """What is asked for."""

    metric: str
    """One of `METRICS`."""
    value: float
    """In dB."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `xpsnr=40`.

        Raises:
            RequestError: It is no target.
        """
        found = re.fullmatch(r"([a-z]+)=(\d{1,3}(?:\.\d{1,3})?)", text)
        if found is not None and found[1] == "vmaf":
            raise RequestError(f"--target {text}: this PyAV has no filter libvmaf; expected xpsnr=N, such as xpsnr=40")
        if found is None or found[1] not in METRICS or not 0 < float(found[2]) <= HIGHEST_TARGET:
            raise RequestError(
                f"--target {text[:40]!r}: expected xpsnr=N with N in dB, up to {HIGHEST_TARGET:g}, such as xpsnr=40"
            )
        return cls(found[1], float(found[2]))


class Search:
    """Looks for the largest quantiser whose score is good enough.

    Args:
        target: The score.
        smallest: The best quantiser.
        largest: The worst one.
    """

    def __init__(self, target: float, smallest: int, largest: int) -> None:
        self._target, self._smallest, self._largest = target, smallest, largest
        self.scores: dict[int, float | None] = {}
        """By the quantiser that was tried; None where that failed."""

    @property
    def failed(self) -> int:
        """How many probes gave no score."""
        return sum(score is None for score in self.scores.values())

    def find(self, probe: Callable[[int], float | None]) -> int | None:
        """The quantiser: of those that gave a score the largest one that is good enough, else the smallest.

        Scores fall as quantisers grow, by and large; where they do, and no probe fails, no larger one is good enough.

        Args:
            probe: Encodes a sample, and gives its score; None if that failed.

        Returns:
            None where no probe gave a score.
        """
        good, bad = self._smallest - 1, self._largest + 1
        while bad - good > 1 and len(self.scores) < MOST_PROBES:
            guess = self._guess(good, bad, left=MOST_PROBES - len(self.scores) - 1)
            score = self.scores[guess] = probe(guess)
            # Below one that was not good enough, smaller ones may fail too: there is nothing to be had but above.
            is_good = self.scores.get(bad) is not None if score is None else score >= self._target
            good, bad = (guess, bad) if is_good else (good, guess)
        scores = {quantiser: score for quantiser, score in self.scores.items() if score is not None}
        enough = [quantiser for quantiser, score in scores.items() if score >= self._target]
        return max(enough) if enough else min(scores, default=None)

    def _guess(self, good: int, bad: int, *, left: int) -> int:
        """Where the score meets the target by what is known, if halving can still end in the probes that are left."""
        room = 2**left
        least, most = max(good + 1, bad - room), min(bad - 1, good + room)
        return min(max(self._met_at(good, bad), least), most) if least <= most else (good + bad) // 2

    def _met_at(self, good: int, bad: int) -> int:
        above, below = self.scores.get(good), self.scores.get(bad)
        if above is not None and below is not None and above > below:
            return int(good + (above - self._target) / (above - below) * (bad - good))
        if above is not None:
            return good + max(int((above - self._target) / DECIBELS_A_STEP), 1)
        if below is not None:
            return bad - max(int((self._target - below) / DECIBELS_A_STEP), 1)
        return (good + bad) // 2
