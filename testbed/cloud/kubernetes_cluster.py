"""A Kubernetes cluster of two machines on this one: a stand-in of its API and controllers, and one of its kubelets."""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.config import new_client_from_config

from testbed.cloud.processes import running

MACHINES = 2
CPUS = 2
NAMESPACE = "render"


@dataclass
class KubernetesCluster:
    """A running cluster."""

    folder: Path
    """Everything that it writes."""
    core: client.CoreV1Api
    """Kubernetes's client for pods and Secrets."""
    batch: client.BatchV1Api
    """That for Jobs."""

    @property
    def kubeconfig(self) -> Path:
        """How to reach it."""
        return self.folder / "kubeconfig"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the adapter's cluster: two nodes of two chunks at most, which run this checkout."""
        return {
            "type": "kubernetes", "most": MACHINES, "slots": CPUS, "image": "helios:test", "namespace": NAMESPACE,
            "kubeconfig": str(self.kubeconfig),
        }  # fmt: skip

    def pods(self) -> dict[str, str]:
        """The pods, and where they are."""
        return {pod.metadata.name: pod.status.phase for pod in self.core.list_namespaced_pod(NAMESPACE).items}

    def objects(self) -> list[str]:
        """Everything that nodes have there: Jobs, pods and Secrets."""
        lists = [
            self.batch.list_namespaced_job(NAMESPACE),
            self.core.list_namespaced_pod(NAMESPACE),
            self.core.list_namespaced_secret(NAMESPACE, label_selector="helios-flow"),
        ]
        return [f"{type(one).__name__} {one.metadata.name}" for found in lists for one in found.items]

    def wait_until_empty(self, *, seconds: float = 90.0) -> None:
        """Wait until nothing is left of any node."""
        deadline = time.monotonic() + seconds
        while found := self.objects():
            assert time.monotonic() < deadline, f"left on Kubernetes: {found}"
            time.sleep(0.2)


@contextmanager
def kubernetes_cluster(folder: Path) -> Iterator[KubernetesCluster]:
    """Run a cluster within the block.

    Args:
        folder: An empty one.
    """
    token, logs = secrets.token_hex(16), folder / "pods"
    logs.mkdir()
    machines = {f"machine-{number}": {"cpu": CPUS, "labels": {"disk": "ssd"}} for number in range(MACHINES)}
    wanted = {"namespaces": ["default", NAMESPACE], "token": token, "logs": str(logs), "machines": machines}
    with running("testbed.cloud.kubernetes_api", settings=wanted, log=folder / "api.log") as api:
        cluster = _reach(folder, api["url"], token=token)
        kubelet = {"kubeconfig": str(cluster.kubeconfig), "folder": str(logs)}
        with running("testbed.cloud.kubelet", settings=kubelet, log=folder / "kubelet.log"):
            yield cluster


def _reach(folder: Path, url: str, *, token: str) -> KubernetesCluster:
    place = {"name": "testbed", "cluster": {"server": url, "insecure-skip-tls-verify": True}}
    access = {"name": "ada", "user": {"token": token}}
    context = {"name": "testbed", "context": {"cluster": "testbed", "user": "ada"}}
    document = {"apiVersion": "v1", "kind": "Config", "clusters": [place], "users": [access], "contexts": [context],
                "current-context": "testbed"}  # fmt: skip
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    os.chmod(path, 0o600)
    api = new_client_from_config(str(path))
    return KubernetesCluster(folder, client.CoreV1Api(api), client.BatchV1Api(api))
