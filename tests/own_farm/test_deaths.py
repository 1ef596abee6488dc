"""What dies in a farm, killed for real: no chunk is lost, and no command goes on."""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from adapters.remote import AnswerLostError
from helios.errors import WorkerUnavailableError
from helios.models.worker import WorkerResult
from testbed.cloud.own_farm import OwnFarm
from testbed.cloud.processes import ROOT
from tests.helios.worker.stored import store_command, store_script

LONG = "import time, sys; print('on it', flush=True); time.sleep(600)"
FAMILY = ROOT / "faults" / "family.sh"
FLOW = f"""
import asyncio, json, sys
from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from tests.helios.worker.stored import store_script

async def flow():
    adapter = FarmAdapter(FarmConfig.model_validate(json.loads(sys.argv[1])))
    await adapter.open()
    await adapter.execute(store_script(adapter.storage, {LONG!r}))

asyncio.run(flow())
"""


def commands(farm: OwnFarm) -> list[str]:
    """The nodes that run a command, one mention for each process."""
    return [name for name in farm.nodes for _ in farm.commands(name)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(240):
        while not condition():
            await asyncio.sleep(0.1)


async def begun(farm: OwnFarm, adapter: FarmAdapter) -> "asyncio.Task[WorkerResult]":
    """A chunk whose command runs."""
    task = asyncio.create_task(adapter.execute(store_script(adapter.storage, LONG)))
    await until(lambda: commands(farm) or task.done())
    assert not task.done(), task.exception()
    return task


async def test_a_node_is_killed(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """The chunk fails at once and is not given to another node by the engine; its command ends; the next one works."""
    runs = farm.folder / "runs"
    script = f"open({str(runs)!r}, 'a').write('.')\n{LONG}"
    task = asyncio.create_task(farm_adapter.execute(store_script(farm_adapter.storage, script)))
    await until(lambda: runs.exists() or task.done())
    name = commands(farm)[0]
    farm.nodes[name].kill()
    with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
        await asyncio.wait_for(task, 60)
    await until(lambda: not commands(farm))
    result = await asyncio.wait_for(farm_adapter.execute(store_script(farm_adapter.storage, "pass")), 60)
    assert result.exit_code == 0
    assert result.rendered_by is not None
    assert name not in result.rendered_by
    assert runs.read_text() == "."
    farm.start_node(name)


async def test_a_node_s_guardian_is_killed(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """The chunk is a failure of the environment, its command ends, and the same node takes the next one."""
    task = await begun(farm, farm_adapter)
    name = commands(farm)[0]
    children = psutil.Process(farm.nodes[name].pid).children()
    (guardian,) = [child for child in children if "guardian_process" in " ".join(child.cmdline())]
    guardian.kill()
    with pytest.raises(WorkerUnavailableError, match="guardian of this machine's commands died"):
        await asyncio.wait_for(task, 60)
    await until(lambda: not commands(farm))
    jobs = [store_script(farm_adapter.storage, "import time; time.sleep(1)") for _ in range(4)]
    results = await asyncio.wait_for(asyncio.gather(*(farm_adapter.execute(job) for job in jobs)), 60)
    assert any(str(result.rendered_by).startswith(name) for result in results)


async def test_a_frozen_machine_whose_node_dies(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """The node's guardian and its commands are stopped when the node is killed; they end as soon as they go on."""
    task = await begun(farm, farm_adapter)
    name = commands(farm)[0]
    with farm.frozen(name) as frozen:
        farm.nodes[name].kill()
        with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
            await asyncio.wait_for(task, 60)
        left = [process for process in frozen if process.pid != farm.nodes[name].pid]
        assert {process.status() for process in left} == {psutil.STATUS_STOPPED}
        assert commands(farm)
    await until(lambda: not any(process.is_running() for process in left))
    farm.start_node(name)


async def test_a_cancel_ends_the_whole_tree(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Descendants end that have sessions of their own, no parent, or no ear for SIGTERM, before the cancel is over."""
    notes = farm.folder / "family"
    notes.mkdir()
    task = asyncio.create_task(farm_adapter.execute(store_command(farm_adapter.storage, "sh", str(FAMILY), str(notes))))
    await until(lambda: len(commands(farm)) >= 6 or task.done())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert not commands(farm)


async def test_a_second_cancel_is_silent(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """It cuts the wait for the worker short, and asyncio has no lost exception to tell of."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    task = await begun(farm, farm_adapter)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await until(lambda: not commands(farm) and not others())
    gc.collect()
    await asyncio.sleep(0)
    assert not told


def others() -> set["asyncio.Task[Any]"]:
    """Tasks of this loop that work for an adapter's request."""
    return {task for task in asyncio.all_tasks() if "_send_and_find" in str(task.get_coro())}


async def test_the_flow_s_process_is_killed(farm: OwnFarm) -> None:
    """What nodes render for it is ended, and they take chunks of the next flow."""
    words = [sys.executable, "-c", FLOW, json.dumps(farm.config)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL) as flow:
        await until(lambda: commands(farm) or flow.poll() is not None)
        assert flow.poll() is None
        flow.kill()
    killed = time.monotonic()
    await until(lambda: not commands(farm))
    print("commands gone after", time.monotonic() - killed)
    adapter = FarmAdapter(FarmConfig.model_validate(farm.config))
    await adapter.open()
    assert (await asyncio.wait_for(adapter.execute(store_script(adapter.storage, "pass")), 60)).exit_code == 0
    await adapter.aclose()


async def test_a_round_trip_has_a_bound(
    farm: OwnFarm, farm_adapter: FarmAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no node has a slot free, doctor says so after a while, and leaves no chunk that waits."""
    tasks = [asyncio.create_task(farm_adapter.execute(store_script(farm_adapter.storage, LONG))) for _ in range(4)]
    await until(lambda: len(commands(farm)) >= 4 or any(task.done() for task in tasks))
    assert not any(task.done() for task in tasks)
    monkeypatch.setattr("adapters.remote.ROUND_TRIP_SECONDS", 1.0)
    with pytest.raises(WorkerUnavailableError, match="no worker has answered within 1 s; look at the farm at"):
        await asyncio.wait_for(farm_adapter._round_trip(), 60)
    assert not farm_adapter._waiting
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.slow  # the flow that is killed is gone, too
async def test_the_flow_goes_away(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Nodes end what they render for a flow whose connection is gone."""
    task = await begun(farm, farm_adapter)
    await farm_adapter.aclose()
    await until(lambda: not commands(farm))
    task.cancel()
    await asyncio.wait([task])


async def test_the_scheduler_dies_and_comes_back(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """What is in flight is lost and its commands end; nodes and flow find the new scheduler by themselves."""
    task = await begun(farm, farm_adapter)
    assert farm.scheduler is not None
    farm.scheduler.kill()
    farm.scheduler.wait()
    with pytest.raises(WorkerUnavailableError):
        await asyncio.wait_for(task, 60)
    await until(lambda: not commands(farm))
    farm.start_scheduler()
    result = await asyncio.wait_for(farm_adapter.execute(store_script(farm_adapter.storage, "pass")), 90)
    assert result.exit_code == 0
    # A node that goes on with a new scheduler may take chunks and not begin them, once another one has died then.
    for name in tuple(farm.nodes):
        farm.start_node(name)


async def test_a_node_is_drained(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """SIGTERM: what runs is finished, nothing new is taken, and the process ends."""
    flag = farm.folder / "go on"
    script = f"import os, time\nprint('on it', flush=True)\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.05)"
    task = asyncio.create_task(farm_adapter.execute(store_script(farm_adapter.storage, script)))
    await until(lambda: commands(farm))
    name = commands(farm)[0]
    farm.nodes[name].send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        while not any(one.draining for one in await farm_adapter._look()):
            await asyncio.sleep(0.2)
    other = await asyncio.wait_for(farm_adapter.execute(store_script(farm_adapter.storage, "pass")), 60)
    assert other.rendered_by is not None
    assert name not in other.rendered_by
    flag.touch()
    assert (await asyncio.wait_for(task, 60)).exit_code == 0
    assert await asyncio.to_thread(farm.nodes[name].wait, 60) == 0
    farm.start_node(name)


async def test_a_tag_that_no_node_has(farm: OwnFarm) -> None:
    """Says which tag is missing."""
    adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "requires": ["gpu"], "node_wait_seconds": 1}))
    await adapter.open()
    with pytest.raises(WorkerUnavailableError, match="no node has the tag gpu; start one with --tag gpu"):
        await adapter.execute(store_script(adapter.storage, "pass"))
    await adapter.aclose()


async def test_another_secret(farm: OwnFarm) -> None:
    """Who has not the farm's secret is refused, and told so."""
    from helios.errors import RequestError
    from helios.own_farm.join_token import JoinToken, draw_secret

    wrong = JoinToken(farm.token.host, farm.token.port, draw_secret())
    adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "join": wrong.text}))
    with pytest.raises(RequestError, match="has another secret than the join token"):
        await adapter.open()
