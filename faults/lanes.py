"""Own farms for the bench's jobs, each used by one job at a time, so that a strike at a node meets that job alone."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from faults.disks import mount, unmount
from testbed.cloud.network import NoNetworkError, a_network
from testbed.cloud.own_farm import WRONG_CLOCK, OwnFarm, own_farm

NAMES, SLOTS = ("node-0", "node-1", "node-2"), 2
AHEAD = NAMES[2]
"""The node whose clock is two hours ahead, in all jobs."""
NODE_MIB = 64
"""A node's disk: it refuses chunks where less than half of this is free."""
LOST = "was never retrieved"
"""What asyncio says of an error that nobody has looked at."""
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
            for name in NAMES:
                _give_disk(own / name, stack)
            farms.append(stack.enter_context(own_farm(own, nodes=0, apart=lambda _: None)))
        for farm, name in itertools.product(farms, NAMES):
            start_node(farm, name, wait=False)
        for farm, name in itertools.product(farms, NAMES):
            farm.await_node(name)
        yield Lanes(farms)


def _give_disk(folder: Path, stack: ExitStack) -> None:
    """Give a node a small disk of its own, where that is possible."""
    folder.mkdir(parents=True)
    if mount(folder, mebibytes=NODE_MIB):
        stack.callback(unmount, folder)


def start_node(farm: OwnFarm, name: str, *, variables: Mapping[str, str] | None = None, wait: bool = True) -> None:
    """Start a node, or start it again."""
    clock = WRONG_CLOCK if name == AHEAD else {}
    farm.start_node(name, slots=SLOTS, variables={**clock, **(variables or {})}, wait=wait)


async def mend(farm: OwnFarm) -> None:
    """Start again what is dead, and wait until every node is back and idle.

    Raises:
        AssertionError: A node does not come back, or renders for nobody.
    """
    for name, process in list(farm.nodes.items()):
        if process.poll() is not None:
            await asyncio.to_thread(start_node, farm, name)
    adapter = FarmAdapter(FarmConfig.model_validate(farm.config))
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        nodes = await adapter.nodes()
        if len(nodes) == len(farm.nodes) and not any(node.running for node in nodes):
            return
        assert time.monotonic() < deadline, f"after {BACK_SECONDS:g} s the farm has {nodes}"
        await asyncio.sleep(0.5)


def errors_on_nodes(farm: OwnFarm) -> list[str]:
    """What the consoles of a farm, since they were last looked at, say of errors that nobody expected."""
    said = [(name, line) for name in ("scheduler", *farm.nodes) for line in farm.news(name)]
    return [f"{name} says: {line}" for name, line in said if LOST in line or line.startswith("Traceback")]


def left_on_nodes(farm: OwnFarm) -> list[str]:
    """What nodes have kept of chunks, of files that did not arrive whole, or of themselves when they left."""
    found = [path for what in ("workspaces/*", "assets/.*", "ballast") for path in farm.folder.glob(f"*/{what}")]
    for folder in farm.folder.glob("*/node"):
        found += sorted(folder.iterdir())[folder.parent.name in farm.nodes :]
    return [str(path.relative_to(farm.folder)) for path in found]


def can_cut() -> bool:
    """Whether this machine lets nodes be cut off."""
    try:
        with a_network():
            return True
    except NoNetworkError:
        return False
