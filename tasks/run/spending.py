"""What a run has cost so far: by what was known of each attempt, and by the prices of its workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from helios.models.cost import CostReport
from helios.models.report import RunState
from helios.prices.book import PriceBook
from helios.prices.rate import SECONDS_IN_HOUR, Rate
from helios.usage import Usage
from tasks.run.chunk_record import AttemptTimes, ChunkRecord

FRAMES = "frames"
"""In the record, beside the amounts."""
DECIMALS = 9
"""Of amounts in records and reports: a billionth, since a second of a worker costs some hundred-thousandths."""


class Purpose(StrEnum):
    """What an attempt was for, seen from its end."""

    ACCEPTED = "accepted"
    """Its output was accepted."""
    FAILED = "failed"
    """It failed, or its output was refused later."""
    HEDGES = "hedges"
    """It was stopped because another one was faster, or it was a second attempt that won nothing."""
    AUDITS = "audits"
    """It rendered an accepted chunk again, to compare."""
    STOPPED = "stopped"
    """It was stopped with the run."""
    UNDERWAY = "underway"
    """It runs."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt that costs something."""

    times: AttemptTimes
    """What is known of it."""
    record: ChunkRecord | None
    """Its chunk's; None for an audit's."""

    @property
    def purpose(self) -> Purpose:
        outcome = self.times.outcome
        if self.record is None:
            return Purpose.AUDITS
        if outcome is RunState.COMPLETED:
            return Purpose.ACCEPTED
        if self.times.ended is None:
            return Purpose.UNDERWAY
        if self.times.is_hedge or (outcome is RunState.CANCELLED and _is_beaten(self.record)):
            return Purpose.HEDGES
        return Purpose.FAILED if outcome is RunState.FAILED else Purpose.STOPPED


class Spending:
    """What a run costs, used in its event loop alone; `by_purpose` and `report` also elsewhere.

    Args:
        clock: Seconds since the run began.
        budget: What the run may cost; None for any amount.
    """

    def __init__(self, clock: Callable[[], float], *, budget: float | None = None) -> None:
        self.budget = budget
        """What the run may cost; it can be raised while the run lives."""
        self.frames = 0
        """Frames that were accepted for it, by earlier processes of the run, too."""
        self._clock = clock
        self._book: PriceBook | None = None
        self._rates: dict[str, Rate] = {}
        self._attempts: list[_Attempt] = []
        self._open: list[AttemptTimes] = []
        self._settled = 0.0
        self._earlier: dict[Purpose, float] = {}

    def open(self, book: PriceBook, rates: Mapping[str, Rate], *, earlier: Mapping[str, float]) -> None:
        """Begin to count.

        Args:
            book: The prices.
            rates: The price of the workers of each place, by its name, the preferred one first.
            earlier: What earlier processes of the run have spent, as `to_record` gave it.
        """
        self._book, self._rates = book, dict(rates)
        self.frames += int(earlier.get(FRAMES, 0))
        for purpose in Purpose:
            if amount := earlier.get(purpose, 0.0):
                kept = Purpose.STOPPED if purpose is Purpose.UNDERWAY else purpose  # its process died
                self._earlier[kept] = self._earlier.get(kept, 0.0) + amount

    @property
    def counts(self) -> bool:
        """Whether anything can cost something."""
        return not all(rate.is_free for rate in self._rates.values())

    @property
    def hourly(self) -> dict[str, float]:
        """What an hour of a worker costs at each place, by its name."""
        return {name: SECONDS_IN_HOUR * rate.second() for name, rate in self._rates.items()}

    @property
    def currency(self) -> str:
        """Of all amounts; empty before `open`."""
        return self._book.currency if self._book else ""

    def add(self, times: AttemptTimes, record: ChunkRecord | None) -> None:
        """Count an attempt from now on.

        Args:
            times: What is known of it, now and later.
            record: Its chunk's; None for an audit's.
        """
        self._attempts.append(_Attempt(times, record))
        self._open.append(times)

    def cost(self, times: AttemptTimes) -> float:
        """What one attempt has cost so far: as its platform or its worker says, else by its time."""
        if not self._rates or times.started is None:
            return 0.0
        rate = self._rates.get(times.place or "") or next(iter(self._rates.values()))
        if times.usages:
            return sum(map(rate.cost, times.usages))
        end = times.answered or times.ended or self._clock()
        return rate.cost(Usage(milliseconds=round(max(0.0, end - times.started) * 1000)))

    @property
    def per_frame(self) -> float:
        """What an accepted frame has cost so far, failures included; 0 while there is none."""
        return self.total / self.frames if self.frames else 0.0

    @property
    def underway(self) -> float:
        """What the attempts have cost so far that run now."""
        return sum(map(self.cost, self._open))

    @property
    def total(self) -> float:
        """All of it. Costs little where few attempts run."""
        ended = [times for times in self._open if times.ended is not None]
        if ended:
            self._settled += sum(map(self.cost, ended))
            self._open = [times for times in self._open if times.ended is None]
        return sum(self._earlier.values()) + self._settled + self.underway

    def by_purpose(self) -> dict[Purpose, float]:
        """All of it by what it was for. Costs as much as there are attempts."""
        found = dict(self._earlier)
        for attempt in self._attempts:
            found[attempt.purpose] = found.get(attempt.purpose, 0.0) + self.cost(attempt.times)
        return {purpose: found[purpose] for purpose in Purpose if found.get(purpose)}

    def report(self) -> CostReport | None:
        """What it came to; None where nothing costs anything."""
        if self._book is None or not self.counts:
            return None
        found = self.by_purpose()
        found[Purpose.STOPPED] = found.get(Purpose.STOPPED, 0.0) + found.pop(Purpose.UNDERWAY, 0.0)
        return CostReport(
            currency=self.currency,
            prices_of=self._book.date,
            total=round(sum(found.values()), DECIMALS),
            earlier=round(sum(self._earlier.values()), DECIMALS),
            budget=self.budget,
            **{purpose: round(found.get(purpose, 0.0), DECIMALS) for purpose in Purpose if purpose != Purpose.UNDERWAY},
        )

    def to_record(self) -> dict[str, float]:
        """What the run has spent by purpose, and for how many frames: for its later processes."""
        spent = {str(purpose): round(amount, DECIMALS) for purpose, amount in self.by_purpose().items()}
        return {**spent, FRAMES: float(self.frames)}


def _is_beaten(record: ChunkRecord) -> bool:
    """Whether a second attempt of a chunk was accepted."""
    return any(times.is_hedge and times.outcome is RunState.COMPLETED for times in record.times)
