"""Nodes that are pods: by Kubernetes's own client, which is imported in this module alone.

Why dask-kubernetes has no part in it: docs/decisions/kubernetes-and-clouds.md.
"""

import asyncio
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from adapters.farm_cluster.config import Kubernetes
from adapters.farm_cluster.guarded import Guard, GuardedNodes, end_command
from adapters.farm_cluster.kubernetes_manifest import FLOW_LABEL, job_manifest, secret_manifest
from adapters.farm_cluster.states import JobState, Phase
from helios.errors import RequestError, WorkerUnavailableError
from helios.own_farm.join_token import JoinToken

ANSWER_SECONDS = 30.0
"""How long the cluster may take to answer."""
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""In a pod: where its namespace stands."""
NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
"""The image does not come; Kubernetes tries again for ever, ever more rarely."""
NOT_NOW = frozenset({0, 408, 429, 500, 502, 503, 504})
"""Statuses after which a later request may succeed."""
HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Reasons for which a container never starts."""


class KubernetesNodes(GuardedNodes):
    """The pods of one flow; see `adapters.farm_cluster.source.NodeSource`.

    Args:
        config: The cluster, and what pods ask for.
        name: Of the flow.
        token: What nodes join.
        tags: What nodes can do.

    Raises:
        RequestError: The client is not installed, or nothing says how to reach a cluster.
    """

    title = "Kubernetes"
    unit = "job"

    def __init__(self, config: Kubernetes, *, name: str, token: JoinToken, tags: Collection[str]) -> None:
        self._config = config
        self._flow = name
        self._token = token
        self._tags = frozenset(tags)
        self._batch, self._core, self._namespace = _clients(config)

    async def open(self) -> None:
        """Have the cluster check a Job without making it, and start the guard."""
        manifest = self._manifest("probe")
        await self._call(partial(self._batch.create_namespaced_job, self._namespace, manifest, dry_run="All"))
        self._guard = Guard(end_command(self._config), keeps_credentials=True)

    async def submit(self, name: str) -> str:
        """Make a Job, and the Secret that its pod waits for."""
        manifest = self._manifest(name)
        job_id: str = manifest["metadata"]["name"]
        self._note("+", job_id)
        try:
            job = await self._call(partial(self._batch.create_namespaced_job, self._namespace, manifest))
            secret = secret_manifest(self._token, flow=self._flow, name=job_id, job_uid=job.metadata.uid)
            await self._call(partial(self._core.create_namespaced_secret, self._namespace, secret))
        except (RequestError, WorkerUnavailableError):
            await self.cancel(job_id)  # also a Job whose answer was lost: its pod would wait for the Secret for ever
            raise
        return job_id

    async def states(self, ids: Sequence[str]) -> dict[str, JobState] | None:
        """Look at the flow's Jobs and pods."""
        selector = f"{FLOW_LABEL}={self._flow}"
        try:
            jobs = await self._call(partial(self._batch.list_namespaced_job, self._namespace, label_selector=selector))
            pods = await self._call(partial(self._core.list_namespaced_pod, self._namespace, label_selector=selector))
        except (RequestError, WorkerUnavailableError):
            return None
        own = {pod.metadata.labels.get("job-name"): pod for pod in pods.items}
        return {job.metadata.name: job_state(job, own.get(job.metadata.name)) for job in jobs.items}

    async def cancel(self, node_id: str) -> None:
        """Delete a Job, and with it pod and Secret."""
        with suppress(RequestError, WorkerUnavailableError):
            await self._call(partial(
                self._batch.delete_namespaced_job, node_id, self._namespace, propagation_policy="Background"
            ))  # fmt: skip
        self._note("-", node_id)

    async def last_words(self, node_id: str) -> str:
        """Read the pod's log."""
        with suppress(RequestError, WorkerUnavailableError):
            pods = await self._call(partial(
                self._core.list_namespaced_pod, self._namespace, label_selector=f"job-name={node_id}"
            ))  # fmt: skip
            for pod in pods.items:
                log = await self._call(partial(
                    self._core.read_namespaced_pod_log, pod.metadata.name, self._namespace, tail_lines=3
                ))  # fmt: skip
                if lines := [line.strip() for line in log.splitlines() if line.strip()]:
                    return str(lines[-1][:300])
        return "its pod left no log"

    def _manifest(self, name: str) -> dict[str, Any]:
        return job_manifest(self._config, flow=self._flow, name=f"helios-{name}", tags={name, *self._tags})

    async def _call(self, call: Callable[..., Any]) -> Any:
        """Carry out a request in a thread.

        Raises:
            RequestError: The cluster refuses it.
            WorkerUnavailableError: It does not answer, or not now.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return await asyncio.to_thread(call, _request_timeout=ANSWER_SECONDS)
        except ApiException as exc:
            kind = WorkerUnavailableError if exc.status in NOT_NOW else RequestError
            raise kind(f"Kubernetes refuses a job for a node: {_complaint(exc.status, exc.body)}") from None
        except (HTTPError, OSError, ValueError) as exc:
            raise WorkerUnavailableError(
                f"Kubernetes can't be asked for a node ({' '.join(str(exc).split())[:300]}); correct kubeconfig and "
                "context in the cluster's settings, and renew your access to it"
            ) from None


def job_state(job: Any, pod: Any) -> JobState:
    """Where a node is.

    Args:
        job: Its Job.
        pod: The Job's pod; None where there is none yet, or no longer.
    """
    for condition in job.status.conditions or ():
        if condition.type in {"Complete", "Failed"} and condition.status == "True":
            return JobState(Phase.ENDED, _end(pod) or str(condition.reason or ""))
    if pod is None:
        return JobState(Phase.WAITING)
    if pod.status.phase in {"Succeeded", "Failed"}:
        return JobState(Phase.ENDED, _end(pod))
    if pod.status.phase == "Running":
        return JobState(Phase.RUNNING)
    for container in pod.status.container_statuses or ():
        if (waiting := container.state.waiting) and waiting.reason in NO_IMAGE | HOPELESS:
            reason = f"{waiting.reason}: {waiting.message or container.image}"
            if waiting.reason in HOPELESS:
                return JobState(Phase.WAITING, reason, is_hopeless=True)
            return JobState(Phase.ENDED if waiting.reason == "ImagePullBackOff" else Phase.RUNNING, reason)
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status != "True":
            return JobState(Phase.WAITING, str(condition.message or condition.reason or ""))
    return JobState(Phase.RUNNING if pod.spec.node_name else Phase.WAITING)


def _end(pod: Any) -> str:
    """How a pod has ended: `OOMKilled, exit code 137`."""
    if pod is None:
        return ""
    for container in pod.status.container_statuses or ():
        if ended := container.state.terminated:
            return f"{ended.reason or 'ended'}, exit code {ended.exit_code}"
    return str(pod.status.reason or "")


def _clients(config: Kubernetes) -> tuple[Any, Any, str]:
    """The client for Jobs, the one for pods and Secrets, and the namespace."""
    try:
        from kubernetes import client
        from kubernetes.config import kube_config
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.incluster_config import load_incluster_config
    except ImportError as exc:
        raise RequestError(
            f"Nodes on Kubernetes need the extra kubernetes, which is not installed here ({exc.name}); install it: "
            "pip install -c constraints.txt -e '.[app,farm,kubernetes]'"
        ) from exc
    settings, own = client.Configuration(), ""
    try:
        is_named = config.kubeconfig or config.context or os.environ.get("KUBECONFIG")
        if not is_named and OWN_NAMESPACE.exists():
            load_incluster_config(client_configuration=settings)
            own = OWN_NAMESPACE.read_text().strip()
        else:
            path = str(config.kubeconfig.expanduser()) if config.kubeconfig else None
            kube_config.load_kube_config(path, context=config.context, client_configuration=settings)
            own = _namespace_of(kube_config.list_kube_config_contexts(path), config.context)
    except (ConfigException, OSError) as exc:
        raise RequestError(
            f"Nothing says how to reach a Kubernetes cluster ({exc}); name its file (kubeconfig in the cluster's "
            "settings, or KUBECONFIG), or render where kubectl works"
        ) from None
    api = client.ApiClient(settings)
    return client.BatchV1Api(api), client.CoreV1Api(api), config.namespace or own or "default"


def _namespace_of(contexts: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]], name: str | None) -> str:
    every, active = contexts
    chosen = next((one for one in every if one["name"] == name), active)
    return str(chosen["context"].get("namespace", ""))


def _complaint(status: int, body: Any) -> str:
    """What the cluster says, without its HTTP."""
    with suppress(ValueError, TypeError):
        if message := json.loads(body).get("message"):
            return str(message)[:500]
    return f"HTTP status {status}"
