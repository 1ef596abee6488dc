"""Whole machines that fail: cut off, frozen, killed at once, full, with wrong clocks, of other versions.

Nodes have addresses of their own where this machine allows it (`testbed.cloud.network`).
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from adapters.remote import AnswerLostError
from helios.errors import WorkerUnavailableError
from helios.models.requires import NOTHING
from helios.models.worker import WorkerJob, WorkerResult
from testbed.cloud.own_farm import OLD_VERSION, WRONG_CLOCK, OwnFarm, own_farm
from tests.helios.worker.stored import store_script
from tests.own_farm.test_deaths import begun, commands, until

SILENCE_PROMISE = 30.0
"""A chunk of a node that says nothing starts elsewhere within so many seconds."""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    """Instead of that of the other files: its nodes are machines."""
    with own_farm(tmp_path_factory.mktemp("machines"), apart=print) as farm:
        yield farm


def plain(farm_adapter: FarmAdapter) -> WorkerJob:
    """A chunk that costs nothing."""
    return store_script(farm_adapter.storage, "pass")


def by(result: WorkerResult) -> str:
    """The machine that rendered a chunk."""
    assert result.rendered_by is not None
    return result.rendered_by.split()[0]


def apart(farm: OwnFarm) -> None:
    if farm.network is None:
        pytest.skip("the nodes have no addresses of their own here")


@pytest.mark.slow
async def test_a_node_is_cut_off(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Its chunk can go elsewhere within 30 s; its own command ends; once it is reachable, it is back by itself."""
    apart(farm)
    assert farm.network is not None
    task = await begun(farm, farm_adapter)
    name = commands(farm)[0]
    farm.network.cut(name)
    cut = time.monotonic()
    try:
        with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
            await asyncio.wait_for(task, 90)
        other = await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)
        print("elsewhere after", time.monotonic() - cut)
        assert by(other) != name
        await until(lambda: not commands(farm))
        print("command gone after", time.monotonic() - cut)
    finally:
        farm.network.heal(name)
    healed = time.monotonic()
    await asyncio.to_thread(farm.await_node, name)
    print("back after", time.monotonic() - healed)


@pytest.mark.slow
async def test_a_node_is_frozen_and_thaws(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Its chunk can go elsewhere within 30 s; what it writes when it thaws replaces nothing; it is back by itself."""
    go_on = farm.folder / "thawed"
    script = f"import os, time\nprint('on it', flush=True)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    job = store_script(farm_adapter.storage, script)
    task = asyncio.create_task(farm_adapter.execute(job))
    await until(lambda: commands(farm))
    name = commands(farm)[0]
    with farm.frozen(name):
        frozen = time.monotonic()
        with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
            await asyncio.wait_for(task, 90)
        go_on.touch()
        other = await asyncio.wait_for(farm_adapter.execute(job.model_copy(update={"attempt": 2})), 60)
        print("elsewhere after", time.monotonic() - frozen)
        assert by(other) != name
        assert other.artifact is not None
        before = await farm_adapter.storage.digest(farm_adapter.storage.key_of(other.artifact.url))
    await until(lambda: not commands(farm))
    await asyncio.to_thread(farm.await_node, name)
    assert await farm_adapter.storage.digest(farm_adapter.storage.key_of(other.artifact.url)) == before
    assert (await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)).exit_code == 0


async def test_a_whole_machine_dies(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Every process of it at once: nothing is left but files, and these go when its node starts again."""
    task = await begun(farm, farm_adapter)
    name = commands(farm)[0]
    farm.signal_all(name, signal.SIGSTOP)  # so that none of them sees another one die
    farm.signal_all(name, signal.SIGKILL)
    with pytest.raises(AnswerLostError, match=f"{name}-.* is gone"):
        await asyncio.wait_for(task, 60)
    assert not commands(farm)
    assert list((farm.folder / name / "workspaces").iterdir())
    farm.start_node(name)
    result = await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)
    while by(result) != name:
        result = await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)
    assert not list((farm.folder / name / "workspaces").iterdir())
    assert len(list((farm.folder / name / "node").iterdir())) == 1


async def test_a_chunk_meets_a_node_that_has_just_died(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """It goes to another node, as if it had never been sent: the flow learns of a death half a second later."""
    await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)
    farm_adapter._nodes._looked = float("inf")  # what is known of the nodes stays as it is
    (dead,) = {node.address for node in farm_adapter._nodes.last if node.name.startswith("node-1-")}
    others = [node.address for node in farm_adapter._nodes.last if node.address != dead]
    farm_adapter._nodes._in_flight.update({address: [NOTHING] * 2 for address in others})
    farm.nodes["node-1"].kill()
    farm.nodes["node-1"].wait()
    task = asyncio.create_task(farm_adapter.execute(plain(farm_adapter)))
    await until(lambda: farm_adapter._nodes._in_flight[dead])
    farm_adapter._nodes._looked = float("-inf")
    farm_adapter._nodes._in_flight.update({address: [] for address in others})
    result = await asyncio.wait_for(task, 60)
    assert by(result) != "node-1"
    farm.start_node("node-1")


async def test_a_node_joins_in_the_middle(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Chunks that wait for a slot go to it."""
    go_on = farm.folder / "joined"
    script = f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.05)"
    tasks = [asyncio.create_task(farm_adapter.execute(store_script(farm_adapter.storage, script))) for _ in range(6)]
    await until(lambda: sum(map(len, farm_adapter._nodes._in_flight.values())) == 4)
    await asyncio.to_thread(farm.start_node, "late")
    await until(lambda: farm.commands("late"))
    go_on.touch()
    assert "late" in {by(result) for result in await asyncio.wait_for(asyncio.gather(*tasks), 60)}
    farm.stop_node("late")


@pytest.mark.slow
async def test_a_disk_is_full(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """A node without room refuses chunks, and gets none any more after it has refused a few."""
    folder = farm.folder / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "full", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        await asyncio.to_thread(farm.start_node, "full", slots=8)
        refused, done = 0, 0
        while done < 8:
            try:
                result = await asyncio.wait_for(farm_adapter.execute(plain(farm_adapter)), 60)
            except WorkerUnavailableError:
                refused += 1
                continue
            assert by(result) != "full"
            done += 1
        assert 1 <= refused <= 3
        farm.stop_node("full")
        assert not list((folder / "workspaces").glob("*"))
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow  # tests/adapters/test_faults.py has a worker with such a clock
async def test_clocks_are_hours_apart(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """A node whose clock is two hours ahead joins, renders, and is not taken for silent."""
    await asyncio.to_thread(farm.start_node, "ahead", tags=("ahead",), variables=WRONG_CLOCK)
    wanted = FarmAdapter(FarmConfig.model_validate({**farm.config, "requires": ["ahead"]}))
    await wanted.open()
    result = await asyncio.wait_for(wanted.execute(plain(wanted)), 60)
    assert by(result) == "ahead"
    await asyncio.sleep(1)
    assert all(node.silent_seconds < 60 for node in await wanted._look())
    await wanted.aclose()
    farm.stop_node("ahead")


async def test_two_versions(farm: OwnFarm) -> None:
    """A node of another version gets nothing, and the error says which it is and what to do."""
    await asyncio.to_thread(farm.start_node, "old", tags=("old",), variables=OLD_VERSION)
    wanted = FarmAdapter(FarmConfig.model_validate({**farm.config, "requires": ["old"], "node_wait_seconds": 1}))
    await wanted.open()
    try:
        with pytest.raises(
            WorkerUnavailableError, match=r"old-\d+ \(0\.0\.1\); install the same version on all machines"
        ):
            await asyncio.wait_for(wanted.execute(plain(wanted)), 60)
    finally:
        await wanted.aclose()
        farm.stop_node("old")


@pytest.mark.slow
async def test_ten_thousand_chunks_wait(farm: OwnFarm) -> None:
    """They cost next to no CPU time while they wait, little memory, and a cancel ends all of them."""
    farm_adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "max_in_flight": 10_000}))
    await farm_adapter.open()
    go_on = farm.folder / "ten thousand"
    script = f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.2)"
    job, before = store_script(farm_adapter.storage, script), psutil.Process().memory_info().rss
    tasks = [asyncio.create_task(farm_adapter.execute(job.model_copy(update={"attempt": n}))) for n in range(1, 10_001)]
    await until(lambda: len(farm_adapter._waiting) + sum(map(len, farm_adapter._nodes._in_flight.values())) == 10_000)
    assert psutil.Process().memory_info().rss - before < 400e6
    started, begun_at = time.process_time(), time.monotonic()
    await asyncio.sleep(5)
    share = (time.process_time() - started) / (time.monotonic() - begun_at)
    print("waiting costs", share, "MB", (psutil.Process().memory_info().rss - before) / 1e6)
    assert share < 0.2
    go_on.touch()
    await until(lambda: sum(task.done() for task in tasks) >= 50)
    asked = time.monotonic()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    print("all ended after", time.monotonic() - asked)
    assert {task.result().exit_code for task in tasks if not task.cancelled()} == {0}
    await farm_adapter.aclose()
    await until(lambda: not commands(farm))
