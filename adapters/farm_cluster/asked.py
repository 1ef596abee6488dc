"""A node that a cluster was asked for."""

from dataclasses import dataclass, field

from adapters.farm_cluster.states import JobState, Phase


@dataclass
class AskedNode:
    """A node that was asked for, and what became of it."""

    job_id: str
    """Its job in the queue."""
    since: float
    """When it was asked for (monotonic)."""
    known: float
    """When the queue last knew the job (monotonic)."""
    has_joined: bool = False
    """It was in the farm at least once."""
    state: JobState = field(default_factory=lambda: JobState(Phase.WAITING))
    """What the queue last said of the job."""
