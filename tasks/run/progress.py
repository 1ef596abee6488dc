"""How far a run is: numbers and a phase. Sentences are made where they are shown (`tasks.page.progress_text`)."""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol

RATE_SECONDS = 1.0
"""A rate over less time than this is chance."""


class Phase(StrEnum):
    """What a run is doing."""

    STARTING = "starting"
    """The job is being prepared."""
    UPLOADING = "uploading input files"
    """Input files go into storage, for workers elsewhere."""
    RENDERING = "rendering"
    """Chunks are rendered."""
    AUDITING = "auditing"
    """All chunks are accepted, and some are rendered a second time."""
    STITCHING = "stitching"
    """The chunks are stitched into one video."""
    MERGING = "merging"
    """The job's own merge command runs."""
    DONE = "done"
    """Everything that was asked for is there."""

    @property
    def is_join(self) -> bool:
        """Whether the chunks are being joined."""
        return self in (Phase.STITCHING, Phase.MERGING)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands at one moment."""

    phase: Phase
    """What it is doing."""
    frames: int
    """Frames of accepted chunks."""
    total_frames: int
    """Frames to render, at least 1."""
    chunks: int
    """Accepted chunks."""
    total_chunks: int
    """Chunks to render; so far, of a job that is cut while it is rendered."""
    frames_per_second: float | None = None
    """Frames rendered a second, on average since rendering began; None while that says nothing."""
    waiting_chunks: int = 0
    """Chunks that wait for a slot of the adapter's limit."""
    limit: str = ""
    """The limit that they wait for."""
    underway_frames: int = 0
    """Frames that commands say they have rendered of chunks that are not accepted yet."""
    is_paused: bool = False
    """Whether the run is paused."""
    overdue_seconds: float | None = None
    """The time that the run should have taken at most, once it has taken longer."""
    benched: str = ""
    """The places that get no chunks, since their attempts failed one after the other; empty where there are none."""
    all_benched: bool = False
    """Whether these are all places."""
    handed_over: str = ""
    """How often the run was handed over to another worker; empty if it was not."""
    cost: float | None = None
    """What its workers have cost so far; None where nothing costs anything."""
    currency: str = ""
    """Of the cost and of the budget: three letters."""
    budget: float | None = None
    """What they may cost; None for any amount."""
    playlist: str = ""
    """Path of the playlist from which it can be watched; empty before there is one."""
    host: str = ""
    """The machine where that is."""
    late_seconds: float | None = None
    """By how much the run is expected to miss its deadline; None where it is not."""
    command_failures: int = 0
    """Attempts that failed by their command's fault."""
    environment_failures: int = 0
    """Attempts that failed by their worker's, network's or disk's fault."""

    @property
    def percent(self) -> float:
        """Rendered share, 0 to 100."""
        return 100 * self.frames / self.total_frames

    def to_metadata(self) -> dict[str, str]:
        """The fields as texts, as an artifact in Prefect keeps them; fields that say nothing are left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: str(value) for name, value in values.items() if not (value is None or value is False or value == "")
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any] | None) -> "Progress | None":
        """The inverse of `to_metadata`; None where the texts are not a progress."""
        found = metadata or {}
        try:
            return cls(
                phase=Phase(found["phase"]),
                frames=int(found["frames"]),
                total_frames=int(found["total_frames"]),
                chunks=int(found["chunks"]),
                total_chunks=int(found["total_chunks"]),
                frames_per_second=float(found["frames_per_second"]) if "frames_per_second" in found else None,
                waiting_chunks=int(found.get("waiting_chunks", 0)),
                limit=found.get("limit", ""),
                underway_frames=int(found.get("underway_frames", 0)),
                is_paused="is_paused" in found,
                overdue_seconds=float(found["overdue_seconds"]) if "overdue_seconds" in found else None,
                benched=found.get("benched", ""),
                all_benched="all_benched" in found,
                handed_over=found.get("handed_over", ""),
                cost=float(found["cost"]) if "cost" in found else None,
                currency=found.get("currency", ""),
                budget=float(found["budget"]) if "budget" in found else None,
                playlist=found.get("playlist", ""),
                host=found.get("host", ""),
                late_seconds=float(found["late_seconds"]) if "late_seconds" in found else None,
                command_failures=int(found.get("command_failures", 0)),
                environment_failures=int(found.get("environment_failures", 0)),
            )
        except (KeyError, ValueError):
            return None


class PartlyDone(Protocol):
    """An attempt whose command says how far it is."""

    frames_done: int
    """Frames that it has rendered."""


class ProgressTracker:
    """Counts one run, by its clock, and calls the listener of this process on every change.

    Args:
        total_frames: Frames to render.
        total_chunks: Chunks to render.
    """

    def __init__(self, total_frames: int, total_chunks: int) -> None:
        self._now = Progress(Phase.STARTING, 0, total_frames, 0, total_chunks)
        self._reused_frames = 0
        self._began = time.monotonic()
        self._entered: list[tuple[Phase, float]] = []

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    @property
    def now(self) -> Progress:
        """Where the run stands."""
        return replace(self._now, frames_per_second=self._rate())

    def phases(self, now: float) -> list[tuple[Phase, float, float]]:
        """Each phase with its begin and its end, in seconds since the run began; the last one ends now."""
        ends = [*(start for _, start in self._entered[1:]), now]
        return [(phase, start, end) for (phase, start), end in zip(self._entered, ends, strict=False)]

    def add(self, frames: int, *, reused: bool = False) -> None:
        """Count an accepted chunk.

        Args:
            frames: Its frames.
            reused: Whether an earlier run rendered it; such frames don't count for the rate.
        """
        self._reused_frames += frames if reused else 0
        self.note(frames=self._now.frames + frames, chunks=self._now.chunks + 1)

    def grow(self, chunks: int) -> None:
        """Count chunks that were cut; of one that was split, one less than its parts."""
        self.note(total_chunks=self._now.total_chunks + chunks)

    def withdraw(self, frames: int, *, reused: bool) -> None:
        """Undo `add` for a chunk that is rendered again."""
        self._reused_frames -= frames if reused else 0
        self.note(frames=self._now.frames - frames, chunks=self._now.chunks - 1)

    def advance(self, attempt: PartlyDone, frames: int) -> None:
        """Note how many frames of a running attempt are done; 0 at its end."""
        if self._now.phase is Phase.RENDERING and frames != attempt.frames_done:
            self.note(underway_frames=max(self._now.underway_frames + frames - attempt.frames_done, 0))
            attempt.frames_done = frames

    def enter(self, phase: Phase) -> None:
        """Begin another phase."""
        self._entered.append((phase, self.seconds))
        self.note(phase=phase)

    def note(self, **changes: Any) -> None:
        """Change fields of `now`, and tell the listener where that changes anything."""
        changed = replace(self._now, **changes)
        if changed != self._now:
            self._now = changed
            if listener := LISTENER.get():
                listener(self.now)

    def _rate(self) -> float | None:
        rendered = self._now.frames - self._reused_frames
        start = next((since for phase, since in self._entered if phase is Phase.RENDERING), None)
        if self._now.phase is not Phase.RENDERING or start is None or rendered == 0:
            return None
        seconds = self.seconds - start
        return rendered / seconds if seconds >= RATE_SECONDS else None


LISTENER: ContextVar[Callable[[Progress], None] | None] = ContextVar("LISTENER", default=None)
"""Called in the flow's event loop on every change; the command line draws its bar from it."""
