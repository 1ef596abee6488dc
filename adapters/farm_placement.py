"""Which node of a farm gets a chunk: decided from what is known, without asking anybody."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from helios.own_farm.node_state import NodeState

FAILURES = 3
"""A node is benched after so many failures of its environment in a row."""
BENCH_SECONDS = 60.0
"""How long; then it gets one chunk, and more once that one has gone well."""


@dataclass
class Bench:
    """The nodes whose environment failed, as one flow saw it."""

    failures: dict[str, int] = field(default_factory=dict)
    """Failures in a row, by the node's name."""
    until: dict[str, float] = field(default_factory=dict)
    """When a benched node may try again, by its name; in the clock of the caller."""

    def count(self, name: str, *, failed: bool, now: float) -> None:
        """Note how a node's environment did."""
        if not failed:
            self.failures.pop(name, None)
            self.until.pop(name, None)
            return
        self.failures[name] = self.failures.get(name, 0) + 1
        if self.failures[name] >= FAILURES:
            self.until[name] = now + BENCH_SECONDS

    def holds(self, name: str, *, now: float) -> bool:
        """Whether a node is to get nothing now."""
        return self.until.get(name, 0.0) > now


def choose_node(
    nodes: Sequence[NodeState],
    *,
    requires: Collection[str],
    version: str,
    in_flight: Mapping[str, int],
    own: Collection[str],
    bench: Bench,
    now: float,
) -> NodeState | None:
    """The node with the most free slots that can take a chunk; None if there is none now.

    Args:
        nodes: All nodes.
        requires: Tags that the node must have.
        version: What it must run.
        in_flight: This flow's chunks by the node's address.
        own: The attempts of this flow, so that they are not counted twice in what a node says that it runs.
        bench: Nodes to leave alone.
        now: The time, in the bench's clock.
    """

    def free(node: NodeState) -> int:
        others = sum(chunk.attempt not in own for chunk in node.running)
        return node.slots - others - in_flight.get(node.address, 0)

    able = [node for node in nodes if _can_take(node, requires, version) and not bench.holds(node.name, now=now)]
    best = max(able, key=lambda node: (free(node), node.name), default=None)
    return best if best is not None and free(best) > 0 else None


def why_none(nodes: Sequence[NodeState], *, requires: Collection[str], version: str) -> str | None:
    """Why no node could take a chunk even if all were idle, and what to do; None if one could."""
    if any(_can_take(node, requires, version) for node in nodes):
        return None
    if not nodes:
        return (
            "the farm has no nodes; run the line that helios-job farm start printed on the machines that are to render"
        )
    if others := [node for node in nodes if node.version != version]:
        names = ", ".join(f"{node.name} ({node.version})" for node in others[:5])
        return f"nodes of another version than this one, {version}: {names}; install the same version on all machines"
    if missing := sorted(set(requires) - {tag for node in nodes for tag in node.tags}):
        return f"no node has the tag {missing[0]}; start one with --tag {missing[0]}, or leave it out of requires"
    if all(node.draining for node in nodes):
        return "every node is being stopped; start one"
    return f"no node has all of these tags: {', '.join(sorted(requires))}; start one that has"


def _can_take(node: NodeState, requires: Collection[str], version: str) -> bool:
    return node.version == version and not node.draining and node.tags.issuperset(requires)
