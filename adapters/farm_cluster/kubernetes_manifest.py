"""What Kubernetes is asked for: for each node a Job with one pod, and a Secret with the join token."""

from collections.abc import Collection
from typing import Any

from adapters.farm_cluster.config import Kubernetes
from helios.own_farm.join_token import JoinToken
from helios.sizes import parse_size
from helios.variables import FARM

FLOW_LABEL = "helios-flow"
"""The label of everything that belongs to one flow."""
KEPT_SECONDS = 60
"""After so long Kubernetes removes a Job that is over, with its pod and its Secret, also when this machine is gone."""
TOKEN_KEY = "join-token"  # noqa: S105  the entry's name
SLACK_SECONDS = 10
"""Of a pod's grace period beyond its node's drain time: for the last answer."""


def job_manifest(config: Kubernetes, *, flow: str, name: str, tags: Collection[str]) -> dict[str, Any]:
    """The Job of a node.

    Args:
        config: What is asked for.
        flow: The value of the flow's label.
        name: Of the Job, and of the Secret with the token.
        tags: The node's.
    """
    labels = {FLOW_LABEL: flow, "app.kubernetes.io/name": "helios-node"}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": round(config.drain_seconds) + SLACK_SECONDS,
        # Commands come from documents: no key to the cluster for them.
        "automountServiceAccountToken": config.service_account is not None,
        "containers": [_container(config, name=name, tags=tags)],
    }
    if config.service_account is not None:
        pod["serviceAccountName"] = config.service_account
    if config.node_selector:
        pod["nodeSelector"] = config.node_selector
    if config.tolerations:
        pod["tolerations"] = list(config.tolerations)
    spec: dict[str, Any] = {
        "backoffLimit": 0, "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {"metadata": {"labels": labels}, "spec": {**pod, **config.pod}},
    }  # fmt: skip
    if config.lifetime_seconds is not None:
        spec["activeDeadlineSeconds"] = config.lifetime_seconds
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}


def secret_manifest(token: JoinToken, *, flow: str, name: str, job_uid: str) -> dict[str, Any]:
    """The Secret with the join token of a node; Kubernetes removes it with the Job that owns it.

    Args:
        token: What the node joins.
        flow: The value of the flow's label.
        name: The Job's, and its own.
        job_uid: The Job's.
    """
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": {TOKEN_KEY: token.text},
        "metadata": {"name": name, "labels": {FLOW_LABEL: flow}, "ownerReferences": [owner]},
    }  # fmt: skip


def _container(config: Kubernetes, *, name: str, tags: Collection[str]) -> dict[str, Any]:
    token = {"name": FARM, "valueFrom": {"secretKeyRef": {"name": name, "key": TOKEN_KEY}}}
    options = config.node_options(tags)
    resources: dict[str, dict[str, str]] = {"requests": {"cpu": f"{config.cpu or config.slots:g}"}, "limits": {}}
    if config.memory is not None:
        size = parse_size(config.memory)
        options += ["--memory", config.memory]
        resources["requests"]["memory"] = resources["limits"]["memory"] = str(size)
    if config.gpus:
        options += ["--gpus", str(config.gpus)]
        options += ["--chunks-per-gpu", str(config.chunks_per_gpu)] if config.chunks_per_gpu > 1 else []
        resources["limits"][config.gpu_resource] = str(config.gpus)
    return {
        "name": "node",
        "image": config.image,
        "command": [config.python, "-m", "helios.own_farm", *options],
        # A variable, unlike a file, is closed to the commands: the node hides its memory, and gives them a clean one.
        "env": [token, *({"name": key, "value": value} for key, value in config.env.items())],
        "envFrom": [{"secretRef": {"name": secret}} for secret in config.env_from],
        "resources": resources,
        **config.container,
    }
