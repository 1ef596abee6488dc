"""Strike the nodes and the scheduler of a job's own farm."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from faults.lanes import SLOTS
from faults.scenario import Fault, Strike
from faults.stage import Stage
from testbed.cloud.own_farm import OwnFarm

POLL_SECONDS = 0.01
RESTART_SECONDS = 1.0
AWAY_SECONDS = (5.0, 22.0, 40.0)
"""How long a node is silent, by the variant: the first is too short to be given up."""


async def _a_node(stage: Stage, planned: Strike) -> str | None:
    """A node that runs a command of the job now; every chunk there may be rendered once more. None at the job's end."""
    while not stage.ended.is_set():
        by_node: dict[str, list[int]] = {}
        for program in stage.programs:
            with suppress(psutil.Error, ValueError, IndexError):
                place = Path(program.cwd()).relative_to(_farm(stage).folder).parts[0]
                by_node.setdefault(place, []).append(stage.trial.starts[int(program.cmdline()[3])])
        if by_node:
            name = sorted(by_node)[planned.chunk % len(by_node)]
            for chunk in by_node[name]:
                stage.trial.due[chunk] += 1
            # Commands about to begin there, or that have ended and whose outputs were on their way.
            stage.trial.slack += SLOTS
            return name
        await asyncio.sleep(POLL_SECONDS)
    return None


async def _kill_node(stage: Stage, planned: Strike) -> bool:
    name = await _a_node(stage, planned)
    if name is None:
        return False
    _farm(stage).nodes[name].kill()
    await _start_again(stage, name)
    return True


async def _kill_machine(stage: Stage, planned: Strike) -> bool:
    name = await _a_node(stage, planned)
    if name is None:
        return False
    _farm(stage).signal_all(name, signal.SIGSTOP)  # so that none sees another one die
    _farm(stage).signal_all(name, signal.SIGKILL)
    await _start_again(stage, name)
    return True


async def _kill_guardian_of_node(stage: Stage, planned: Strike) -> bool:
    name = await _a_node(stage, planned)
    if name is None:
        return False
    for process in psutil.Process(_farm(stage).nodes[name].pid).children():
        with suppress(psutil.Error):
            if "guardian_process" in " ".join(process.cmdline()):
                process.kill()
                return True
    return False


async def _drain_node(stage: Stage, planned: Strike) -> bool:
    """No chunk has a reason to be rendered again: it ends before the node does."""
    before, slack = dict(stage.trial.due), stage.trial.slack
    name = await _a_node(stage, planned)
    stage.trial.due, stage.trial.slack = before, slack
    if name is None:
        return False
    node = _farm(stage).nodes[name]
    node.send_signal(signal.SIGTERM)
    await asyncio.to_thread(node.wait)
    await _start_again(stage, name)
    return True


async def _kill_scheduler(stage: Stage, _planned: Strike) -> bool:
    if stage.ended.is_set() or not stage.programs:
        return False
    for chunk in stage.trial.begun_not_ended():
        stage.trial.due[chunk] += 1
    stage.trial.slack += stage.trial.scenario.concurrency
    scheduler = _farm(stage).scheduler
    assert scheduler is not None
    scheduler.kill()
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.to_thread(_farm(stage).start_scheduler)
    return True


async def _freeze_node(stage: Stage, planned: Strike) -> bool:
    name = await _a_node(stage, planned)
    if name is None:
        return False
    frozen = _farm(stage).signal_all(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(AWAY_SECONDS[planned.how])
    finally:
        # Those that were frozen, and not those that are the node's by now: another strike may have started it anew.
        for process in frozen:
            with suppress(psutil.Error):
                process.resume()
    return True


async def _cut_node(stage: Stage, planned: Strike) -> bool:
    name, network = await _a_node(stage, planned), _farm(stage).network
    if name is None or network is None:
        return False
    network.cut(name)
    try:
        await asyncio.sleep(AWAY_SECONDS[planned.how])
    finally:
        network.heal(name)
    return True


async def _start_again(stage: Stage, name: str) -> None:
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.to_thread(_farm(stage).start_node, name, slots=SLOTS)


def _farm(stage: Stage) -> OwnFarm:
    farm = stage.trial.own_farm
    assert farm is not None
    return farm


FARM_STRIKES: dict[Fault, Callable[[Stage, Strike], Awaitable[Any]]] = {
    Fault.KILL_NODE: _kill_node,
    Fault.KILL_NODE_GUARDIAN: _kill_guardian_of_node,
    Fault.KILL_MACHINE: _kill_machine,
    Fault.DRAIN_NODE: _drain_node,
    Fault.KILL_SCHEDULER: _kill_scheduler,
    Fault.FREEZE_NODE: _freeze_node,
    Fault.CUT_NODE: _cut_node,
}
