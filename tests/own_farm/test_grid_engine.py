"""A real Grid Engine gives nodes to an own farm, and gets them back, whatever dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from helios.errors import RequestError
from testbed.cloud.grid_engine import GridEngine, grid_engine, missing_programs
from testbed.cloud.own_farm import OwnFarm
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.helios.worker.stored import store_script
from tests.own_farm.clusters import begin_flow, changed, opened, until
from tests.running import render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_programs() is not None, reason=f"a Grid Engine of its own {missing_programs()}"),
]


@pytest.fixture(scope="module")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GridEngine]:
    with grid_engine(tmp_path_factory.mktemp("sge")) as engine:
        yield engine


@pytest.fixture
async def engine(_engine: GridEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GridEngine]:
    """Grid Engine, which this process finds by its environment, with an empty queue."""
    for name, value in _engine.environment.items():
        monkeypatch.setenv(name, value)
    yield _engine
    if left := _engine.jobs():
        _engine.ask("qdel", *left)
        await until(lambda: not _engine.jobs())


@pytest.fixture
def config(empty_farm: OwnFarm, engine: GridEngine, tmp_path: Path) -> dict[str, Any]:
    """Settings of the adapter: two nodes of two chunks at most."""
    return {**empty_farm.config, "cluster": {**engine.settings, "folder": str(tmp_path / "shared")}}


@pytest.mark.usefixtures("prefect_api")
async def test_a_job(engine: GridEngine, config: dict[str, Any], tmp_path: Path) -> None:
    """Frames are exact although the nodes' jobs are deleted while they render; the queue is empty at the end."""
    gate, folder = tmp_path / "gate", tmp_path / "job"
    folder.mkdir()
    job = make_job((10,) * 8, extra=["--misbehave", f"until:{gate}", "--only", "20"], outputFile="video.mp4")
    work = asyncio.create_task(render(folder, job, adapter=config, concurrency=4))

    def is_at_the_gate() -> bool:
        assert not work.done(), work.result()
        return len(list(folder.glob("chunk *.mp4"))) == 7

    await until(is_at_the_gate)
    first = engine.jobs()
    engine.ask("qdel", *first)
    await until(lambda: not first.keys() & engine.jobs().keys())
    gate.mkdir()
    (gate / "all").touch()
    state, report = await work
    assert state.is_completed(), state.message
    assert read_numbers(folder / "video.mp4") == list(range(80))
    assert max(chunk.attempts for chunk in report.chunks) == 2
    await until(lambda: not engine.jobs())
    assert list((tmp_path / "shared").iterdir()) == []


async def test_nodes_come_and_go(engine: GridEngine, config: dict[str, Any]) -> None:
    """Nodes that have nothing to do end by themselves, others are asked for, and given back at the end."""
    async with opened(changed(config, idle_seconds=3)) as (adapter, _):
        results = await asyncio.gather(*(adapter.execute(store_script(adapter.storage, "pass")) for _ in range(6)))
        assert [result.exit_code for result in results] == [0] * 6
        await until(lambda: not engine.jobs())
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
    await until(lambda: not engine.jobs())
    async with opened(config) as (adapter, told_last):
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
        assert len(engine.jobs()) == 1
    await until(lambda: not engine.jobs())
    assert told_last[-1] == "Gave 1 node back to Grid Engine"


async def test_what_grid_engine_refuses(config: dict[str, Any]) -> None:
    """A job that Grid Engine would not take fails the chunk, with Grid Engine's own words."""
    async with opened(changed(config, directives=["-pe nope 2"])) as (adapter, _):
        with pytest.raises(RequestError, match="Grid Engine refuses a job for a node: .*parallel environment"):
            await adapter.execute(store_script(adapter.storage, "pass"))


async def test_the_flow_is_killed(engine: GridEngine, config: dict[str, Any]) -> None:
    """Jobs that wait are deleted at once, nodes that run end themselves when they are idle."""
    process = await begin_flow(changed(config, most=3, idle_seconds=5))
    await until(lambda: sorted(engine.jobs().values()) == ["qw", "r", "r"])
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: "qw" not in engine.jobs().values())
    await until(lambda: not engine.jobs())
