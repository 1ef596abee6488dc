"""What dies in a farm, killed for real: no chunk is lost, and no command goes on."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from adapters.farm import FarmAdapter
from adapters.remote import AnswerLostError
from helios.errors import WorkerUnavailableError
from helios.models.worker import WorkerResult
from testbed.cloud.own_farm import OwnFarm
from tests.helios.worker.stored import store_script

LONG = "import time, sys; print('on it', flush=True); time.sleep(600)"


def commands(farm: OwnFarm) -> list[str]:
    """The nodes that run a command, one mention for each process."""
    return [name for name in farm.nodes for _ in farm.commands(name)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(90):
        while not condition():
            await asyncio.sleep(0.1)


async def begun(farm: OwnFarm, adapter: FarmAdapter) -> "asyncio.Task[WorkerResult]":
    """A chunk whose command runs."""
    task = asyncio.create_task(adapter.execute(store_script(adapter.storage, LONG)))
    await until(lambda: commands(farm) or task.done())
    assert not task.done(), task.exception()
    return task


async def test_a_node_is_killed(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """The chunk is a failure of the environment at once, its command ends, and the other node takes the next one."""
    task = await begun(farm, farm_adapter)
    name = commands(farm)[0]
    farm.nodes[name].kill()
    with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
        await asyncio.wait_for(task, 60)
    await until(lambda: not commands(farm))
    result = await asyncio.wait_for(farm_adapter.execute(store_script(farm_adapter.storage, "pass")), 60)
    assert result.exit_code == 0
    assert result.rendered_by is not None
    assert name not in result.rendered_by
    farm.start_node(name)


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
    from adapters.farm_config import FarmConfig

    adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "requires": ["gpu"], "node_wait_seconds": 1}))
    await adapter.open()
    with pytest.raises(WorkerUnavailableError, match="no node has the tag gpu; start one with --tag gpu"):
        await adapter.execute(store_script(adapter.storage, "pass"))
    await adapter.aclose()


async def test_another_secret(farm: OwnFarm) -> None:
    """Who has not the farm's secret is refused, and told so."""
    from adapters.farm_config import FarmConfig
    from helios.errors import RequestError
    from helios.own_farm.join_token import JoinToken, draw_secret

    wrong = JoinToken(farm.token.host, farm.token.port, draw_secret())
    adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "join": wrong.text}))
    with pytest.raises(RequestError, match="has another secret than the join token"):
        await adapter.open()
