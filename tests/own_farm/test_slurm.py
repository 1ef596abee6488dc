"""A real Slurm cluster of two nodes gives nodes to an own farm, and gets them back, whatever dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from helios.errors import RequestError, WorkerUnavailableError
from helios.models.requires import Requires
from testbed.cloud.own_farm import OwnFarm
from testbed.cloud.slurm import CPUS, SlurmCluster, missing_programs, slurm_cluster
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.helios.worker.stored import store_script
from tests.own_farm.clusters import begin_flow, changed, opened, until
from tests.running import render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_programs() is not None, reason=f"a Slurm cluster of its own {missing_programs()}"),
]


@pytest.fixture(scope="module")
def _slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
async def slurm(_slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlurmCluster]:
    """The cluster, which this process finds by its environment, with an empty queue."""
    for name, value in _slurm.environment.items():
        monkeypatch.setenv(name, value)
    yield _slurm
    if left := _slurm.jobs():
        _slurm.ask("scancel", *left)
        await until(lambda: not _slurm.jobs())


@pytest.fixture
def config(empty_farm: OwnFarm, slurm: SlurmCluster, tmp_path: Path) -> dict[str, Any]:
    """Settings of the adapter: two nodes of two chunks at most."""
    lines = [line.replace(str(slurm.folder), str(tmp_path)) for line in slurm.settings["prologue"]]
    cluster = {**slurm.settings, "folder": str(tmp_path / "shared"), "prologue": lines}
    return {**empty_farm.config, "cluster": cluster}


def ended(slurm: SlurmCluster, name: str) -> list[str]:
    """How the jobs of this name have ended."""
    return sorted(slurm.ask("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%T").split())


def rendering(folder: Path) -> list[str]:
    """The jobs whose nodes run commands now; each has a folder of its own there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (place := Path(process.cwd())).is_relative_to(folder) and place != folder:
                found.append(place.relative_to(folder).parts[0])
    return found


@pytest.mark.usefixtures("prefect_api")
async def test_a_job(slurm: SlurmCluster, config: dict[str, Any], tmp_path: Path) -> None:
    """Frames are exact although a node's job is cancelled while it renders; the queue is empty at the end."""
    gate, folder = tmp_path / "gate", tmp_path / "job"
    folder.mkdir()
    job = make_job((10,) * 8, extra=["--misbehave", f"until:{gate}", "--only", "20"], outputFile="video.mp4")
    work = asyncio.create_task(render(folder, job, adapter=config, concurrency=4))

    def is_at_the_gate() -> bool:
        assert not work.done(), work.result()
        return len(list(folder.glob("chunk *.mp4"))) == 7 and len(rendering(tmp_path / "work")) > 0

    await until(is_at_the_gate)
    first = rendering(tmp_path / "work")[0]
    slurm.ask("scancel", first)
    await until(lambda: first not in slurm.jobs())
    gate.mkdir()
    (gate / "all").touch()
    state, report = await work
    assert state.is_completed(), state.message
    assert read_numbers(folder / "video.mp4") == list(range(80))
    assert max(chunk.attempts for chunk in report.chunks) == 2
    await until(lambda: not slurm.jobs())  # a node that has left the farm ends in a moment
    assert list((tmp_path / "shared").iterdir()) == []


async def test_nodes_come_and_go(slurm: SlurmCluster, config: dict[str, Any], tmp_path: Path) -> None:
    """Nodes that have nothing to do end by themselves, others are asked for, and the token is nobody else's to read."""
    secret = config["join"].partition("/")[2]
    async with opened(changed(config, idle_seconds=5)) as (adapter, told):
        results = await asyncio.gather(*(adapter.execute(store_script(adapter.storage, "pass")) for _ in range(6)))
        assert [result.exit_code for result in results] == [0] * 6
        (token,) = (tmp_path / "shared").glob("*/token")
        assert token.stat().st_mode & 0o777 == 0o600
        assert token.read_text().strip() == config["join"]
        assert secret not in slurm.ask("scontrol", "show", "job", "--details")
        await until(lambda: not slurm.jobs())
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
        assert len(slurm.jobs()) == 1
    await until(lambda: not slurm.jobs())
    assert told[-1] == "Gave 1 node back to Slurm"
    assert ended(slurm, token.parent.name) == ["COMPLETED"] * 3
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"partition": "nope"}, "Slurm refuses a job for a node: invalid partition specified: nope"),
        ({"memory": "900GB"}, "Slurm refuses a job for a node: .*configuration is not available"),
        ({"gres": "gpu:1"}, "Slurm refuses a job for a node: .*Invalid generic resource"),
    ],
)
async def test_what_slurm_refuses(
    slurm: SlurmCluster, config: dict[str, Any], setting: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """A job that Slurm would not take is an error before anything runs, with Slurm's own words."""
    with pytest.raises(RequestError, match=words):
        async with opened(changed(config, **setting)):
            pass
    assert slurm.jobs() == {}
    assert list((tmp_path / "shared").iterdir()) == []


async def test_a_tag_that_the_nodes_lack(slurm: SlurmCluster, config: dict[str, Any]) -> None:
    """No node is asked for that could not take the chunk; the nodes have what the whole job requires."""
    async with opened({**changed(config, tags=["blender"]), "requires": ["fonts"], "node_wait_seconds": 1}) as (
        adapter,
        _,
    ):
        job = store_script(adapter.storage, "pass")
        with pytest.raises(WorkerUnavailableError, match="Slurm is asked for lack the tag gpu; name it in"):
            await adapter.execute(job.model_copy(update={"requires": Requires(tags=frozenset({"gpu"}))}))
        assert slurm.jobs() == {}
        able = {"requires": Requires(tags=frozenset({"blender"}))}
        assert (await adapter.execute(job.model_copy(update=able))).exit_code == 0


async def test_the_queue_is_long(slurm: SlurmCluster, config: dict[str, Any]) -> None:
    """The run's log says for what nodes wait; a chunk that is called off takes its node out of the queue."""
    for _ in range(2):
        slurm.ask("sbatch", f"--cpus-per-task={CPUS}", "--output=/dev/null", "--wrap=sleep 600")
    blocking = set(slurm.jobs())
    async with opened(config) as (adapter, told):
        work = asyncio.create_task(adapter.execute(store_script(adapter.storage, "pass")))
        await until(lambda: any("1 node waits in Slurm's queue: Resources" in line for line in told))
        assert not work.done()
        work.cancel()
        await asyncio.wait([work])
        await until(lambda: set(slurm.jobs()) == blocking)
        assert told[-1] == "1 node that had not come is not needed any more"


async def test_the_queue_is_hopeless(slurm: SlurmCluster, config: dict[str, Any]) -> None:
    """A job that Slurm accepts although it can never run is cancelled, and the chunk fails with the reason."""
    async with opened(changed(config, walltime="9-00:00:00")) as (adapter, _):
        with pytest.raises(RequestError, match="Slurm will never start a job for a node: PartitionTimeLimit"):
            await adapter.execute(store_script(adapter.storage, "pass"))
        assert slurm.jobs() == {}


async def test_jobs_that_fail(slurm: SlurmCluster, config: dict[str, Any], tmp_path: Path) -> None:
    """Three jobs that end before their node comes are enough: the error has the last line of the job's log."""
    broken = ["echo module: not found: blender/9 >&2", "exit 3"]
    config = {**changed(config, most=1, prologue=broken), "node_wait_seconds": 1}
    async with opened(config) as (adapter, told):
        with pytest.raises(WorkerUnavailableError, match=r"ended \(FAILED, NonZeroExitCode\) .*: blender/9"):
            await adapter.execute(store_script(adapter.storage, "pass"))
    assert sum("ended (FAILED" in line for line in told) == 3
    assert [path.name for path in (tmp_path / "shared").rglob("token")] == []
    assert len(list((tmp_path / "shared").rglob("*.err"))) == 3
    assert slurm.jobs() == {}


async def test_the_flow_is_killed(slurm: SlurmCluster, config: dict[str, Any], tmp_path: Path) -> None:
    """Jobs that wait are cancelled at once, nodes that run end their commands at once and themselves when idle."""
    process = await begin_flow(changed(config, most=3, idle_seconds=8))
    await until(lambda: sorted(slurm.jobs().values()) == ["PENDING", "RUNNING", "RUNNING"])
    await until(lambda: len(set(rendering(tmp_path / "work"))) == 2)
    (name,) = [path.name for path in (tmp_path / "shared").iterdir()]
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: "PENDING" not in slurm.jobs().values())
    await until(lambda: not slurm.jobs())
    # A node that has come in this very moment may be taken for one that waits.
    assert ended(slurm, name)[0] == "CANCELLED"
    assert set(ended(slurm, name)) <= {"CANCELLED", "COMPLETED"}
    assert list((tmp_path / "shared").rglob("token")) == []
