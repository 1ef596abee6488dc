"""Strike the nodes and the scheduler of a job's own farm."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from faults.full_disk import fill
from faults.joining import farm_of, join_node, join_old_node
from faults.lanes import SLOTS, start_node
from faults.promises import watch_elsewhere
from faults.scenario import Fault, Strike
from faults.stage import Stage

POLL_SECONDS = 0.03
RESTART_SECONDS = 1.0
AWAY_SECONDS = (5.0, 22.0, 60.0)
"""How long a node is silent, by the variant: the first is too short to be given up."""


def _at_a_node(strike: Callable[[Stage, Strike, str], Awaitable[bool]]) -> Callable[[Stage, Strike], Awaitable[bool]]:
    """A strike at a node that runs commands of the job; it does not happen if the job ends before there is one.

    Every chunk there may be rendered once more, and the outcome learns when each of them began elsewhere.
    """

    async def at_a_node(stage: Stage, planned: Strike) -> bool:
        found = await _a_node(stage, planned)
        if found is None:
            return False
        name, chunks = found
        for chunk in chunks:
            stage.trial.due[chunk] += 1
        # Commands about to begin there, or that have ended and whose outputs were on their way.
        stage.trial.slack += SLOTS
        watching = asyncio.create_task(watch_elsewhere(stage, planned.fault, chunks))
        happened = await strike(stage, planned, name)
        await watching
        return happened

    return at_a_node


async def _a_node(stage: Stage, planned: Strike) -> tuple[str, list[int]] | None:
    """A node that runs commands of the job now, and their chunks; None at the job's end."""
    while not stage.ended.is_set():
        by_node: dict[str, list[int]] = {}
        for program in stage.programs:
            with suppress(psutil.Error, ValueError, IndexError):
                place = Path(program.cwd()).relative_to(farm_of(stage).folder).parts[0]
                by_node.setdefault(place, []).append(stage.trial.starts[int(program.cmdline()[3])])
        if by_node:
            name = sorted(by_node)[planned.chunk % len(by_node)]
            return name, by_node[name]
        await asyncio.sleep(POLL_SECONDS)
    return None


@_at_a_node
async def _kill_node(stage: Stage, _planned: Strike, name: str) -> bool:
    farm_of(stage).nodes[name].kill()
    await _start_again(stage, name)
    return True


@_at_a_node
async def _kill_machine(stage: Stage, _planned: Strike, name: str) -> bool:
    farm_of(stage).signal_all(name, signal.SIGSTOP)  # so that none sees another one die
    farm_of(stage).signal_all(name, signal.SIGKILL)
    await _start_again(stage, name)
    return True


@_at_a_node
async def _kill_guardian_of_node(stage: Stage, _planned: Strike, name: str) -> bool:
    for process in psutil.Process(farm_of(stage).nodes[name].pid).children():
        with suppress(psutil.Error):
            if "guardian_process" in " ".join(process.cmdline()):
                process.kill()
                return True
    return False


@_at_a_node
async def _freeze_node(stage: Stage, planned: Strike, name: str) -> bool:
    with farm_of(stage).frozen(name):
        await asyncio.sleep(AWAY_SECONDS[planned.how])
    return True


@_at_a_node
async def _cut_node(stage: Stage, planned: Strike, name: str) -> bool:
    network = farm_of(stage).network
    if network is None:
        return False
    network.cut(name)
    try:
        await asyncio.sleep(AWAY_SECONDS[planned.how])
    finally:
        network.heal(name)
    return True


async def _drain_node(stage: Stage, planned: Strike) -> bool:
    """No chunk has a reason to be rendered again: it ends before the node does."""
    found = await _a_node(stage, planned)
    if found is None:
        return False
    node = farm_of(stage).nodes[found[0]]
    node.send_signal(signal.SIGTERM)
    await asyncio.to_thread(node.wait)
    await _start_again(stage, found[0])
    return True


async def _kill_scheduler(stage: Stage, _planned: Strike) -> bool:
    if stage.ended.is_set() or not stage.programs:
        return False
    for chunk in stage.trial.begun_not_ended():
        stage.trial.due[chunk] += 1
    stage.trial.slack += stage.trial.scenario.concurrency
    scheduler = farm_of(stage).scheduler
    assert scheduler is not None
    scheduler.kill()
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.to_thread(farm_of(stage).start_scheduler)
    return True


async def _fill_node(stage: Stage, planned: Strike) -> bool:
    """Fill a node's disk; what it renders then fails, and goes elsewhere."""
    found = await _a_node(stage, planned)
    if found is None:
        return False
    return await fill(stage, farm_of(stage).folder / found[0], seconds=0.5 + planned.how)


async def _start_again(stage: Stage, name: str) -> None:
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.to_thread(start_node, farm_of(stage), name)


FARM_STRIKES: dict[Fault, Callable[[Stage, Strike], Awaitable[Any]]] = {
    Fault.KILL_NODE: _kill_node,
    Fault.KILL_NODE_GUARDIAN: _kill_guardian_of_node,
    Fault.KILL_MACHINE: _kill_machine,
    Fault.DRAIN_NODE: _drain_node,
    Fault.KILL_SCHEDULER: _kill_scheduler,
    Fault.FREEZE_NODE: _freeze_node,
    Fault.CUT_NODE: _cut_node,
    Fault.FILL_NODE: _fill_node,
    Fault.JOIN_NODE: join_node,
    Fault.JOIN_OLD_NODE: join_old_node,
}
