"""What a flow knows of its farm's nodes: what they said last, what it gave them, and how they did."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters.farm_placement import Bench, FarmView
from helios.models.requires import Requires
from helios.own_farm.node_state import NODES, NodeState, read_nodes
from helios.storage.urls import parent_url
from helios.worker.runtime import package_version

LOOK_SECONDS = 0.5
"""How old what is known of the nodes may be. Nodes report each 0.5 s or so."""
REMEMBERED_SECONDS = 30.0
"""How long a chunk that has ended is still known to be ours, in a node's late report."""


class KnownNodes:
    """The nodes of one farm, as one flow knows them."""

    def __init__(self) -> None:
        self.last: list[NodeState] = []
        """What they said last."""
        self.own: dict[str, float] = {}
        """This flow's attempts by URL: when they ended, in the monotonic clock; infinity while they are in flight."""
        self.places: dict[str, str] = {}
        """The address of the node that has an attempt, by the attempt's URL."""
        self.mark = f"helios-{uuid.uuid4().hex[:8]}-"
        """What Dask's keys of this flow's chunks begin with."""
        self._bench = Bench()
        self._in_flight: defaultdict[str, list[Requires]] = defaultdict(list)
        self._of_chunk: defaultdict[str, list[NodeState]] = defaultdict(list)
        self._looked = float("-inf")

    @property
    def is_fresh(self) -> bool:
        """Whether what is known is new enough to choose a node by."""
        return time.monotonic() - self._looked < LOOK_SECONDS

    @property
    def view(self) -> FarmView:
        """What a node is chosen by."""
        return FarmView(self.last, package_version(), self._in_flight, self.own, self._bench, self.mark)

    async def look(self, scheduler: Any) -> None:
        """Ask the scheduler; it is away where nothing is known then.

        Args:
            scheduler: Dask's connection to it.
        """
        self._looked = time.monotonic()
        try:
            self.last = read_nodes(await getattr(scheduler, NODES)())
        except (OSError, TimeoutError):
            self.last = []
        known = {node.address for node in self.last}
        for address in [one for one in self._in_flight if one not in known and not self._in_flight[one]]:
            del self._in_flight[address]
        for url in [url for url, ended in self.own.items() if time.monotonic() - ended > REMEMBERED_SECONDS]:
            del self.own[url]

    @contextmanager
    def having(self, node: NodeState, requires: Requires, attempt: str) -> Iterator[None]:
        """Count an attempt as on a node within the block."""
        self._in_flight[node.address].append(requires)
        self.own[attempt], self.places[attempt] = float("inf"), node.address
        chunk = parent_url(attempt)
        self._of_chunk[chunk].append(node)
        try:
            yield
        finally:
            self._of_chunk[chunk].remove(node)
            if not self._of_chunk[chunk]:
                del self._of_chunk[chunk]
            self._in_flight[node.address].remove(requires)
            self.own[attempt] = time.monotonic()
            del self.places[attempt]

    def beside(self, attempt: str) -> str | None:
        """The worker that has another attempt of the same chunk, as results name it; None if none has."""
        nodes = self._of_chunk.get(parent_url(attempt))
        return nodes[0].rendered_by if nodes else None

    def count(self, node: NodeState, *, failed: bool) -> None:
        """Note how a node's environment did."""
        self._bench.count(node.name, failed=failed, now=time.monotonic())
