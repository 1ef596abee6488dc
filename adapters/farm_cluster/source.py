"""Where a flow's nodes come from: a batch queue, Kubernetes, or a cloud's machines."""

from collections.abc import Collection, Sequence
from typing import Protocol

from adapters.farm_cluster.config import ClusterSettings, Ec2, Kubernetes
from adapters.farm_cluster.states import JobState
from helios.own_farm.join_token import JoinToken


class NodeSource(Protocol):
    """Gives one flow its nodes. A node is a job, or a machine, with an id of its own there."""

    title: str
    """Its name for people."""
    unit: str
    """What a node is there, for people: `job`."""

    async def open(self) -> None:
        """Make what nodes need to join, and try out whether one would be given.

        Raises:
            RequestError: None would be.
        """
        ...

    async def submit(self, name: str) -> str:
        """Ask for the node of a name, which is one of its tags; its id.

        Raises:
            RequestError: It is refused.
        """
        ...

    async def states(self, ids: Sequence[str]) -> dict[str, JobState] | None:
        """Where these nodes are; one that is not known is left out. None if there is no answer."""
        ...

    async def cancel(self, node_id: str) -> None:
        """End a node, or ask for it no more; nothing happens if it is over."""
        ...

    def has_joined(self, node_id: str) -> None:
        """Know that a node ends by itself, also without this process."""
        ...

    async def remove(self, node_id: str) -> None:
        """Remove what is left of a node that is over."""
        ...

    async def last_words(self, node_id: str) -> str:
        """The last line of a node's log, or why there is none."""
        ...

    async def close(self, *, keep_logs: bool) -> None:
        """Remove what nodes needed to join; all nodes have ended, or end by themselves.

        Args:
            keep_logs: Leave logs behind, where they can be left.
        """
        ...


def node_source(config: ClusterSettings, *, name: str, token: JoinToken, tags: Collection[str]) -> NodeSource:
    """The source that settings describe.

    Args:
        config: Its settings.
        name: What the flow's jobs or machines are called.
        token: The farm that nodes join.
        tags: What nodes can do.

    Raises:
        RequestError: A library or a command is missing, or this machine has no way there.
    """
    match config:
        case Kubernetes():
            from adapters.farm_cluster.kubernetes_nodes import KubernetesNodes

            return KubernetesNodes(config, name=name, token=token, tags=tags)
        case Ec2():
            from adapters.farm_cluster.ec2_nodes import Ec2Nodes

            return Ec2Nodes(config, name=name, token=token, tags=tags)
        case _:
            from adapters.farm_cluster.queue_nodes import QueueNodes

            return QueueNodes(config, name=name, token=token, tags=tags)
