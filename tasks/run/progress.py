"""How far a run is: counts, rate and time left, in a form that is also read back from its artifact in Prefect."""

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

_DESCRIPTION = re.compile(r"(.+?): (\d+) of (\d+) frames, (\d+) of (\d+) chunks(?:, [^;]+)?(?:; (.+))?")
RATE_SECONDS = 1.0
"""A rate of less time is chance."""


@dataclass
class JobProgress:
    """Counts of one run, and its clock."""

    total_frames: int
    """Frames to render."""
    total_chunks: int
    """Chunks to render."""
    frames: int = 0
    """Frames of accepted chunks."""
    chunks: int = 0
    """Accepted chunks."""
    phase: str = "starting"
    """What is going on: rendering, stitching, merging."""
    notes: dict[str, str] = field(default_factory=dict)
    """What holds the run up, by kind."""
    reused_frames: int = 0
    """Frames of chunks that an earlier run accepted."""
    _began: float = field(default_factory=time.monotonic)
    _entered: list[tuple[str, float]] = field(default_factory=list)

    @classmethod
    def parse(cls, description: str) -> "JobProgress | None":
        """The counts that a description tells, up to two seconds old; None if it is none."""
        if (found := _DESCRIPTION.fullmatch(description)) is None:
            return None
        phase, frames, total_frames, chunks, total_chunks, note = found.groups()
        return cls(int(total_frames), int(total_chunks), int(frames), int(chunks), phase, {"": note} if note else {})

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    @property
    def percent(self) -> float:
        """Rendered share, 0 to 100."""
        return 100 * self.frames / self.total_frames

    @property
    def rate(self) -> float | None:
        """Frames rendered a second, on average since rendering began; None while that says nothing."""
        rendered = self.frames - self.reused_frames
        start = next((since for name, since in self._entered if name == "rendering"), None)
        if self.phase != "rendering" or start is None or rendered == 0 or self.seconds - start < RATE_SECONDS:
            return None
        return rendered / (self.seconds - start)

    @property
    def counts(self) -> str:
        """`rendering: 120 of 300 frames, 4 of 10 chunks`."""
        return f"{self.phase}: {self.frames} of {self.total_frames} frames, {self.chunks} of {self.total_chunks} chunks"

    @property
    def description(self) -> str:
        """`rendering: 120 of 300 frames, 4 of 10 chunks, 29.5 frames/s, 6.1 s left; waits for …`."""
        words = self.counts
        if (rate := self.rate) is not None:
            words += f", {rate:.3g} frames/s, {duration((self.total_frames - self.frames) / rate)} left"
        return "; ".join([words, *self.notes.values()])

    def phases(self, now: float) -> list[tuple[str, float, float]]:
        """What went on from when to when, in seconds since the run began; the last until now."""
        ends = [*(start for _, start in self._entered[1:]), now]
        return [(name, start, end) for (name, start), end in zip(self._entered, ends, strict=False)]

    def add(self, frames: int, *, reused: bool = False) -> None:
        """Count an accepted chunk."""
        self.frames += frames
        self.chunks += 1
        self.reused_frames += frames if reused else 0
        self.tell()

    def enter(self, phase: str) -> None:
        """Say that another phase has begun."""
        self.phase = phase
        self._entered.append((phase, self.seconds))
        self.tell()

    def hold_up(self, kind: str, note: str | None) -> None:
        """Say what holds the run up, or, with None, that this does not any more."""
        if note == self.notes.get(kind):
            return
        if note is None:
            del self.notes[kind]
        else:
            self.notes[kind] = note
        self.tell()

    def tell(self) -> None:
        """Call the listener of this process, if there is one."""
        if listener := LISTENER.get():
            listener(self)


LISTENER: ContextVar[Callable[[JobProgress], None] | None] = ContextVar("LISTENER", default=None)
"""Called in the flow's event loop on every change; the command line draws its bar from it."""


def duration(seconds: float) -> str:
    """A length of time for people: `4.2 s`, `3:05 min`, `2:03:05 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
