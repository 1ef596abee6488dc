"""What a cluster may ask of the flow whose farm its nodes join."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from helios.models.requires import Requires
from helios.own_farm.node_state import NodeState


@dataclass(frozen=True)
class FarmLink:
    """The way from a cluster to its flow's farm."""

    nodes: Callable[[], Awaitable[Sequence[NodeState]]]
    """All nodes."""
    unplaced: Callable[[Sequence[NodeState], Sequence[Requires]], int]
    """How many of the chunks that wait find no place on these nodes now."""
    is_able: Callable[[NodeState, Requires], bool]
    """Whether a node could take a chunk if it were idle."""
    is_own: Callable[[str], bool]
    """Whether an attempt is this flow's."""
    leave: Callable[[Sequence[NodeState]], Awaitable[None]]
    """Ask nodes to end."""
