"""Kubernetes gives nodes to an own farm, and gets them back, whatever dies.

Kubernetes's own client asks a stand-in of a cluster (`testbed.cloud.kubernetes_api`), which starts pods as processes.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from helios.errors import RequestError, WorkerUnavailableError
from testbed.cloud.kubernetes_cluster import NAMESPACE, KubernetesCluster, kubernetes_cluster
from testbed.cloud.own_farm import OwnFarm
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.helios.worker.stored import store_script
from tests.own_farm.clusters import begin_flow, changed, opened, until
from tests.running import render


@pytest.fixture(scope="module")
def _kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesCluster]:
    with kubernetes_cluster(tmp_path_factory.mktemp("kubernetes")) as cluster:
        yield cluster


@pytest.fixture
def kubernetes(_kubernetes: KubernetesCluster) -> Iterator[KubernetesCluster]:
    """The cluster, with nothing in it."""
    yield _kubernetes
    for job in _kubernetes.batch.list_namespaced_job(NAMESPACE).items:
        _kubernetes.batch.delete_namespaced_job(job.metadata.name, NAMESPACE, propagation_policy="Background")
    _kubernetes.wait_until_empty()


@pytest.fixture
def config(empty_farm: OwnFarm, kubernetes: KubernetesCluster) -> dict[str, Any]:
    """Settings of the adapter: two nodes of two chunks at most."""
    return {**empty_farm.config, "cluster": kubernetes.settings}


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.slow
async def test_a_job(kubernetes: KubernetesCluster, config: dict[str, Any], tmp_path: Path) -> None:
    """Frames are exact although a pod is deleted while it renders; nothing is left on the cluster at the end."""
    gate, folder = tmp_path / "gate", tmp_path / "job"
    folder.mkdir()
    job = make_job((10,) * 8, extra=["--misbehave", f"until:{gate}", "--only", "20"], outputFile="video.mp4")
    work = asyncio.create_task(render(folder, job, adapter=changed(config, drain_seconds=0), concurrency=4))

    def is_at_the_gate() -> bool:
        assert not work.done(), work.result()
        return len(list(folder.glob("chunk *.mp4"))) == 7

    await until(is_at_the_gate)
    first = kubernetes.pods()
    for pod in first:
        kubernetes.core.delete_namespaced_pod(pod, NAMESPACE)
    await until(lambda: not first.keys() & kubernetes.pods().keys())
    gate.mkdir()
    (gate / "all").touch()
    state, report = await work
    assert state.is_completed(), state.message
    assert read_numbers(folder / "video.mp4") == list(range(80))
    assert max(chunk.attempts for chunk in report.chunks) == 2
    kubernetes.wait_until_empty()


@pytest.mark.slow
async def test_nodes_come_and_go(kubernetes: KubernetesCluster, config: dict[str, Any]) -> None:
    """Idle nodes end and are removed, others are asked for, and no description of a pod has the token."""
    secret = config["join"].partition("/")[2]
    async with opened(changed(config, idle_seconds=3)) as (adapter, told):
        results = await asyncio.gather(*(adapter.execute(store_script(adapter.storage, "pass")) for _ in range(6)))
        assert [result.exit_code for result in results] == [0] * 6
        assert set(kubernetes.pods().values()) == {"Running"}
        described = [kubernetes.core.list_namespaced_pod(NAMESPACE), kubernetes.batch.list_namespaced_job(NAMESPACE)]
        assert secret not in str(described)
        await until(lambda: not kubernetes.objects())
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
        assert sum(line.startswith("Asked Kubernetes for ") for line in told) >= 2
    async with opened(config) as (adapter, told):
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
        assert len(kubernetes.pods()) == 1
    assert told[-1] == "Gave 1 node back to Kubernetes"
    kubernetes.wait_until_empty(seconds=30)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"namespace": "nope"}, 'Kubernetes refuses a job for a node: namespaces "nope" not found'),
        ({"pod": {"nodeSelektor": {}}}, "Kubernetes refuses a job for a node: .*nodeSelektor"),
    ],
)
async def test_what_kubernetes_refuses(
    kubernetes: KubernetesCluster, config: dict[str, Any], setting: dict[str, Any], words: str
) -> None:
    """A job that Kubernetes would not take is an error before anything runs, with its own words."""
    with pytest.raises(RequestError, match=words):
        async with opened(changed(config, **setting)):
            pass
    assert kubernetes.objects() == []


async def test_no_way_to_a_cluster(config: dict[str, Any], tmp_path: Path) -> None:
    """A wrong kubeconfig, a wrong access and a cluster that does not answer are said with what to do."""
    with pytest.raises(RequestError, match="Nothing says how to reach a Kubernetes cluster .*; name its file"):
        FarmAdapter(FarmConfig.model_validate(changed(config, kubeconfig=str(tmp_path / "none"))))
    own = json.loads(Path(config["cluster"]["kubeconfig"]).read_text())
    own["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "kubeconfig").write_text(json.dumps(own))
    with pytest.raises(RequestError, match="Kubernetes refuses a job for a node: Unauthorized"):
        async with opened(changed(config, kubeconfig=str(tmp_path / "kubeconfig"))):
            pass
    own["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    (tmp_path / "kubeconfig").write_text(json.dumps(own))
    with pytest.raises(WorkerUnavailableError, match="Kubernetes can't be asked for a node .*; correct kubeconfig"):
        async with opened(changed(config, kubeconfig=str(tmp_path / "kubeconfig"))):
            pass


@pytest.mark.slow  # tests/adapters/farm_cluster/test_states.py has the words, test_slurm.py a chunk called off
async def test_a_cluster_that_is_full(kubernetes: KubernetesCluster, config: dict[str, Any]) -> None:
    """The run's log says for what nodes wait; a chunk that is called off takes its node back."""
    async with opened(changed(config, cpu=64)) as (adapter, told):
        work = asyncio.create_task(adapter.execute(store_script(adapter.storage, "pass")))
        await until(lambda: any("1 node waits in Kubernetes's queue: 0/2 nodes are" in line for line in told))
        assert not work.done()
        work.cancel()
        await asyncio.wait([work])
        await until(lambda: not kubernetes.objects())
        assert told[-1] == "1 node that had not come is not needed any more"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param("helios:typo", r"ended \(ImagePullBackOff: no image \"helios:typo\"\)", marks=pytest.mark.slow),
        ("helios:broken", r"ended \(StartError, exit code 127\) before its node joined the farm: .*No such file"),
    ],
)
async def test_nodes_that_never_come(
    kubernetes: KubernetesCluster, config: dict[str, Any], image: str, words: str
) -> None:
    """Three jobs that end before their node comes are enough: the error says why, and has the log's last line."""
    broken = changed(config, most=1, image=image, python="/nowhere/python")
    async with opened({**broken, "node_wait_seconds": 1}) as (adapter, told):
        with pytest.raises(WorkerUnavailableError, match=words):
            await adapter.execute(store_script(adapter.storage, "pass"))
    assert sum("ended (" in line for line in told) == 3
    kubernetes.wait_until_empty(seconds=30)


@pytest.mark.slow
async def test_the_flow_is_killed(kubernetes: KubernetesCluster, config: dict[str, Any]) -> None:
    """What waits is deleted at once; nodes end their commands at once and themselves when idle, and are removed."""
    process = await begin_flow(changed(config, most=3, idle_seconds=5))
    await until(lambda: sorted(kubernetes.pods().values()) == ["Pending", "Running", "Running"])
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: "Pending" not in kubernetes.pods().values())
    await until(lambda: "Running" not in kubernetes.pods().values())
    kubernetes.wait_until_empty()
