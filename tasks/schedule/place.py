"""What the policy of places knows of a place, an attempt that waits for one, and how attempts there end."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tasks.schedule.bench import Bench
from tasks.schedule.speed import Speed


@dataclass(frozen=True)
class Place:
    """One kind of workers, as the policy sees it. Their order is that of the list in which they are given."""

    name: str
    """The name."""
    bound: int
    """Chunks of the run that it has at a time, at least 1."""
    cost_per_hour: float = 0.0
    """What an hour of one chunk's rendering costs there, in any currency, the same for all places."""


class Ended(StrEnum):
    """How an attempt ended, as far as that says something of its place."""

    ACCEPTED = "accepted"
    """Its output was accepted."""
    COMMAND = "command"
    """Its command failed, or could not be run."""
    ENVIRONMENT = "environment"
    """Its place failed."""
    STOPPED = "stopped"
    """It was stopped: nothing is known."""


class Wanted(NamedTuple):
    """An attempt that waits for a place."""

    chunk_id: int
    """Its chunk."""
    beside: str | None = None
    """The place of the attempt that runs already: another one is better."""
    barred: frozenset[str] = frozenset()
    """Places that can't have it."""


class Change(NamedTuple):
    """A place that is benched, or back."""

    name: str
    """The place."""
    pause: float | None
    """Seconds until it is tried again; None where it is back."""


class Choice(NamedTuple):
    """Which of the attempts that wait start now."""

    given: dict[int, str]
    """The place of each that starts, by its position among those that wait."""
    again: float | None
    """In how many seconds to ask again, though nothing happens before; None for not before something happens."""


@dataclass(eq=False)
class Begun:
    """An attempt at a place."""

    place: str
    """The place."""
    chunk_id: int
    """Its chunk."""
    began: float
    """When the place got it."""


@dataclass(eq=False)
class Known:
    """What is known of a place."""

    place: Place
    """The place."""
    order: int
    """Where it stands in the list."""
    speed: Speed = field(default_factory=Speed)
    """How fast it is."""
    bench: Bench = field(default_factory=Bench)
    """Whether it gets chunks."""
    running: set[Begun] = field(default_factory=set)
    """Its attempts."""
    ends: Counter[Ended] = field(default_factory=Counter)
    """How attempts ended."""
    strikes: int = 0
    """Chunks whose command failed here, and whose output was accepted from elsewhere."""
