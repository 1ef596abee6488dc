"""Nodes that join the farm of a running job."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from faults.lanes import start_node
from faults.scenario import Strike
from faults.stage import Stage
from testbed.cloud.own_farm import OLD_VERSION, OwnFarm

LATE, OLD = "node-late", "node-old"
"""Their names: a flow prefers the later one of two nodes that are equally free."""
POLL_SECONDS = 0.02
OLD_SECONDS = 2.0
"""How long a node of another version stays beside the others."""


def farm_of(stage: Stage) -> OwnFarm:
    """The farm of the launched job."""
    farm = stage.trial.own_farm
    assert farm is not None
    return farm


async def join_node(stage: Stage, _planned: Strike) -> bool:
    """A node joins; it happened once the node renders a chunk. It leaves as by SIGTERM, when its chunks are done."""
    async with _joined(stage, LATE):
        return await _until(stage, lambda: _renders(stage, LATE))


async def join_old_node(stage: Stage, _planned: Strike) -> bool:
    """A node of another version joins, and gets nothing."""
    async with _joined(stage, OLD, variables=OLD_VERSION):
        if stage.ended.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(OLD_SECONDS):
                if await _until(stage, lambda: _renders(stage, OLD)):
                    stage.trial.outcome.problems.append("a node of another version got a chunk")
    return True


@asynccontextmanager
async def _joined(stage: Stage, name: str, variables: dict[str, str] | None = None) -> AsyncIterator[None]:
    farm = farm_of(stage)
    await asyncio.to_thread(start_node, farm, name, variables=variables)
    try:
        yield
    finally:
        farm.nodes[name].send_signal(signal.SIGTERM)
        await asyncio.to_thread(farm.nodes[name].wait)
        farm.stop_node(name)


async def _until(stage: Stage, condition: Callable[[], bool]) -> bool:
    while not stage.ended.is_set():
        if condition():
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


def _renders(stage: Stage, name: str) -> bool:
    """Whether a node runs a command of the job now."""
    folder = farm_of(stage).folder / name
    for program in stage.programs:
        with suppress(psutil.Error):
            if Path(program.cwd()).is_relative_to(folder):
                return True
    return False
