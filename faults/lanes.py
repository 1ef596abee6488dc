"""Own farms for the bench's jobs, each used by one job at a time, so that a strike at a node meets that job alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from testbed.cloud.network import NoNetworkError, a_network
from testbed.cloud.own_farm import OwnFarm, own_farm

NODES, SLOTS = 3, 2
BACK_SECONDS = 90.0
"""For nodes to be back after a job; a lost network is tried again after five seconds at most."""


class Lanes:
    """The farms.

    Args:
        farms: As many as jobs run at a time.
    """

    def __init__(self, farms: list[OwnFarm]) -> None:
        self._free: asyncio.Queue[OwnFarm] = asyncio.Queue()
        for farm in farms:
            self._free.put_nowait(farm)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[OwnFarm]:
        """Have a whole, idle farm within the block."""
        farm = await self._free.get()
        try:
            await mend(farm)
            yield farm
        finally:
            self._free.put_nowait(farm)


@contextmanager
def lanes(folder: Path, count: int) -> Iterator[Lanes]:
    """Run farms within the block; their nodes have addresses of their own where that is possible."""
    with ExitStack() as stack:
        farms = []
        for number in range(count):
            own = folder / f"farm-{number}"
            own.mkdir()
            farms.append(stack.enter_context(own_farm(own, nodes=NODES, slots=SLOTS, apart=lambda _: None)))
        yield Lanes(farms)


async def mend(farm: OwnFarm) -> None:
    """Start again what is dead, and wait until every node is back and idle.

    Raises:
        AssertionError: A node does not come back, or renders for nobody.
    """
    for name, process in list(farm.nodes.items()):
        if process.poll() is not None:
            await asyncio.to_thread(farm.start_node, name, slots=SLOTS)
    adapter = FarmAdapter(FarmConfig.model_validate(farm.config))
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        nodes = await adapter.nodes()
        if len(nodes) == len(farm.nodes) and not any(node.running for node in nodes):
            return
        assert time.monotonic() < deadline, f"after {BACK_SECONDS:g} s the farm has {nodes}"
        await asyncio.sleep(0.5)


def left_on_nodes(farm: OwnFarm) -> list[str]:
    """Folders of chunks that nodes have kept."""
    return [
        str(path.relative_to(farm.folder)) for name in farm.nodes for path in farm.folder.glob(f"{name}/workspaces/*")
    ]


def can_cut() -> bool:
    """Whether this machine lets nodes be cut off."""
    try:
        with a_network():
            return True
    except NoNetworkError:
        return False
