"""The result of one job of the fault bench."""

from collections import Counter
from dataclasses import dataclass, field

from faults.scenario import Fault, Scenario


@dataclass
class Outcome:
    """The result of a job."""

    scenario: Scenario
    fired: Counter[Fault] = field(default_factory=Counter)
    """How often each fault happened."""
    wrong_frames: int = 0
    """Frames that are missing, repeated, or out of order in the video."""
    orphans: int = 0
    """Processes that lived longer than they may."""
    avoidable: int = 0
    """Executions of chunks without a reason."""
    executions: int = 0
    launches: int = 0
    problems: list[str] = field(default_factory=list)
    """Further problems, in words."""
    gone_seconds: float = 0.0
    """The longest time from a death until the last process was gone."""
    elsewhere: list[tuple[Fault, float]] = field(default_factory=list)
    """Of the chunks of struck nodes, the fault, and the time from it until they began again."""
    cancel_seconds: list[float] = field(default_factory=list)
    """The times from a cancel until the last process on a node was gone."""
    duration_seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the job has no wrong frame, orphan, avoidable execution or other problem."""
        return not (self.wrong_frames or self.orphans or self.avoidable or self.problems)
