"""Which node of a farm gets a chunk: decided from what is known, without asking anybody."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from helios.models.requires import Requires
from helios.own_farm.node_state import SANDBOX_TAG, NodeState
from helios.sizes import write_size

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


@dataclass(frozen=True)
class FarmView:
    """What one flow knows of its farm."""

    nodes: Sequence[NodeState]
    """All nodes."""
    version: str
    """What a node must run."""
    in_flight: Mapping[str, Sequence[Requires]]
    """What this flow's chunks take, by the address of the node that has them."""
    own: Collection[str]
    """The attempts of this flow, so that they are not counted twice in what a node says that it runs."""
    bench: Bench
    """Nodes to leave alone."""
    mark: str = "helios-"
    """What Dask's keys of this flow's chunks begin with."""


def choose_node(view: FarmView, requires: Requires, *, now: float, avoid: str | None = None) -> NodeState | None:
    """The node with the most free slots that can take a chunk; None if there is none now.

    Args:
        view: What is known.
        requires: What the chunk requires.
        now: The time, in the bench's clock.
        avoid: The worker that should not have it, as results name it: it gets the chunk where no other is free.
    """

    def free(node: NodeState) -> int:
        given = view.in_flight.get(node.address, ())
        others = [chunk for chunk in node.running if chunk.attempt not in view.own] if node.running else []
        taken = len(given) + max(len(others), sum(not key.startswith(view.mark) for key in node.given))
        if taken >= node.slots:
            return 0
        gpus = node.gpus * node.chunks_per_gpu - sum(one.gpus for one in given) - sum(chunk.gpus for chunk in others)
        memory = node.memory - sum(one.memory for one in given) - sum(chunk.memory for chunk in others)
        if gpus < requires.gpus or (requires.memory and memory < requires.memory):
            return 0
        return node.slots - taken

    able = [node for node in view.nodes if not _lacks(node, requires, view.version)]
    ready = [(node, free(node)) for node in able if node.is_open and not view.bench.holds(node.name, now=now)]
    fit = [((node.rendered_by != avoid, slots, node.name), node) for node, slots in ready if slots > 0]
    return max(fit, key=itemgetter(0))[1] if fit else None


def unplaced(view: FarmView, chunks: Sequence[Requires], *, now: float) -> int:
    """How many chunks would find no place if each were placed now, one after the other.

    Args:
        view: What is known.
        chunks: What each of them requires.
        now: The time, in the bench's clock.
    """
    placed: dict[str, list[Requires]] = {address: [*given] for address, given in view.in_flight.items()}
    left, now_placed = 0, replace(view, in_flight=placed)
    for requires in chunks:
        node = choose_node(now_placed, requires, now=now)
        if node is None:
            left += 1
        else:
            placed.setdefault(node.address, []).append(requires)
    return left


def why_none(nodes: Sequence[NodeState], requires: Requires, *, version: str) -> str | None:
    """Why no node could take a chunk even if all were idle, and what to do; None if one could."""
    able = [node for node in nodes if not _lacks(node, requires, version)]
    if not nodes:
        return (
            "the farm has no nodes; run the line that helios-job farm start printed on the machines that are to render"
        )
    if able and any(node.is_open for node in able):
        return None
    if able:
        hours = sorted({node.hours for node in able})
        return f"every node that could render it takes chunks from {' or '.join(hours)} alone; wait, or start another"
    if others := [node for node in nodes if node.version != version]:
        names = ", ".join(f"{node.name} ({node.version})" for node in others[:5])
        return f"nodes of another version than this one, {version}: {names}; install the same version on all machines"
    missing = sorted(set(requires.tags) - {tag for node in nodes for tag in node.tags})
    if SANDBOX_TAG in missing:
        return (
            "no node can run commands in the sandbox bubblewrap; on a machine that is to render, helios-job node "
            "--sandbox bubblewrap says what to install or to set"
        )
    if missing:
        return f"no node has the tag {missing[0]}; start one with --tag {missing[0]}, or leave it out of requires"
    if all(node.draining for node in nodes):
        return "every node is being stopped; start one"
    return _too_small(nodes, requires) or (
        f"no node has all of this together: {_in_words(requires)}; start one that has, or require less"
    )


def count_in_words(nodes: Sequence[NodeState]) -> str:
    """How many nodes there are, and what they take together."""
    sandboxes = sum(SANDBOX_TAG in node.tags for node in nodes)
    slots = sum(node.slots for node in nodes)
    return f"{len(nodes)} nodes, {slots} chunks at a time, the sandbox bubblewrap works on {sandboxes}"


def _too_small(nodes: Sequence[NodeState], requires: Requires) -> str | None:
    most_gpus, most_memory = max(node.gpus for node in nodes), max(node.memory for node in nodes)
    if requires.gpus > most_gpus:
        return f"no node has {requires.gpus} GPUs, the most are {most_gpus}; start one that has (--gpus)"
    if requires.memory > most_memory:
        return (
            f"no node has {write_size(requires.memory)} of memory, the most are {write_size(most_memory)}; start a "
            "larger one (--memory)"
        )
    return None


def _lacks(node: NodeState, requires: Requires, version: str) -> bool:
    return (
        node.version != version
        or node.draining
        or not node.tags.issuperset(requires.tags)
        or node.gpus < requires.gpus
        or node.memory < requires.memory
    )


def _in_words(requires: Requires) -> str:
    words = [f"the tag {tag}" for tag in sorted(requires.tags)]
    words += [f"{requires.gpus} GPUs"] if requires.gpus else []
    return ", ".join([*words, *([f"{write_size(requires.memory)} of memory"] if requires.memory else [])])
