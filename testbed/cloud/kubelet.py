"""A stand-in of a kubelet: starts the pods of a Kubernetes cluster as processes of this machine.

It speaks to the cluster's API by Kubernetes's own client, so it serves a real API server as it serves the stand-in. A
container is one process, its image a name that must be known here. As in a kubelet, a deleted pod gets SIGTERM, its
grace period, and then SIGKILL; the pod goes when its process has gone. Gaps: isolation of any kind, limits of CPU and
memory, probes, restarts, further containers, volumes.
"""

import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from testbed.cloud.processes import ROOT, ready, settings, when_caller_ends

IMAGES: dict[str, dict[str, str]] = {
    "helios:test": {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HELIOS_GRACE_SECONDS": "1",
        "HELIOS_COMMAND_ENV": "PYTHONPATH",
    },
    "helios:broken": {"PATH": "/nowhere"},
}  # fmt: skip
"""The images that there are, as the variables that they set."""


@dataclass
class Container:
    """A pod's process."""

    process: subprocess.Popen[bytes]
    """Its first process."""
    kill_at: float = float("inf")
    """When it is killed (monotonic)."""


class Kubelet:
    """Carries out pods.

    Args:
        folder: For containers' folders and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._core = client.CoreV1Api()
        self._folder = folder
        self._containers: dict[str, Container] = {}
        self._pulled: dict[str, float] = {}

    def look(self) -> None:
        """Do what there is to do now."""
        pods = {pod.metadata.uid: pod for pod in self._core.list_pod_for_all_namespaces().items if pod.spec.node_name}
        for uid, pod in pods.items():
            with suppress(ApiException):  # it was deleted in this very moment
                self._carry_on(uid, pod)
        for uid in self._containers.keys() - pods.keys():
            self._kill(self._containers.pop(uid))

    def close(self) -> None:
        """End every container."""
        for container in self._containers.values():
            self._kill(container)

    def _carry_on(self, uid: str, pod: Any) -> None:
        container = self._containers.get(uid)
        is_over = pod.status.phase in {"Succeeded", "Failed"}
        if pod.metadata.deletion_timestamp and (container is None or is_over):
            self._delete(pod)
        elif container is None and not is_over:
            self._start(uid, pod)
        elif container is not None and not is_over:
            if (code := container.process.poll()) is not None:
                self._end(pod, code)
            elif pod.metadata.deletion_timestamp and container.kill_at == float("inf"):
                container.process.terminate()
                container.kill_at = time.monotonic() + pod.metadata.deletion_grace_period_seconds
            elif time.monotonic() >= container.kill_at:
                self._kill(container)

    def _start(self, uid: str, pod: Any) -> None:
        spec = pod.spec.containers[0]
        if spec.image not in IMAGES:
            first = self._pulled.setdefault(uid, time.monotonic())
            reason = "ErrImagePull" if time.monotonic() - first < 2 else "ImagePullBackOff"
            self._say(pod, "Pending", {"waiting": {"reason": reason, "message": f'no image "{spec.image}"'}})
            return
        folder = self._folder / uid
        folder.mkdir(exist_ok=True)
        try:
            variables = {**IMAGES[spec.image], "HOME": str(folder), "HELIOS_FOLDER": str(folder), **self._given(pod)}
        except ApiException as exc:
            self._say(pod, "Pending", {"waiting": {"reason": "CreateContainerConfigError", "message": str(exc.reason)}})
            return
        with (self._folder / f"{uid}.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    [*spec.command, *(spec.args or [])], env=variables, cwd=folder, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            except OSError as exc:
                log.write(f"{exc}\n".encode())
                self._end(pod, 127, reason="StartError")
                return
        self._containers[uid] = Container(process)
        self._say(pod, "Running", {"running": {}})

    def _given(self, pod: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in pod.spec.containers[0].env_from or ():
            found |= self._secret(pod, source.secret_ref.name)
        for one in pod.spec.containers[0].env or ():
            if one.value_from is None:
                found[one.name] = one.value or ""
            else:
                reference = one.value_from.secret_key_ref
                found[one.name] = self._secret(pod, reference.name)[reference.key]
        return found

    def _secret(self, pod: Any, name: str) -> dict[str, str]:
        secret = self._core.read_namespaced_secret(name, pod.metadata.namespace)
        coded = {key: b64decode(value).decode() for key, value in (secret.data or {}).items()}
        return {**coded, **(secret.string_data or {})}

    def _end(self, pod: Any, code: int, *, reason: str = "") -> None:
        code = code if code >= 0 else 128 - code
        ended = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
        self._say(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def _say(self, pod: Any, phase: str, state: dict[str, Any]) -> None:
        container = {"name": "node", "image": pod.spec.containers[0].image, "imageID": "", "ready": "running" in state,
                     "restartCount": 0, "state": state}  # fmt: skip
        body = {"status": {"phase": phase, "containerStatuses": [container]}}
        self._core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, body)

    def _delete(self, pod: Any) -> None:
        if container := self._containers.pop(pod.metadata.uid, None):
            self._kill(container)
        self._core.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0)

    @staticmethod
    def _kill(container: Container) -> None:
        """Kill a container's processes at once, as the end of a PID namespace does."""
        with suppress(psutil.Error, OSError):
            first = psutil.Process(container.process.pid)
            for process in [first, *first.children(recursive=True)]:
                with suppress(psutil.Error):
                    process.kill()
        container.process.wait()


def main() -> None:
    """Carry out pods until the caller ends."""
    wanted = settings()
    config.load_kube_config(wanted["kubeconfig"])
    kubelet = Kubelet(Path(wanted["folder"]))
    when_caller_ends(lambda: os.kill(os.getpid(), signal.SIGINT))
    ready()
    try:
        while True:
            kubelet.look()
            time.sleep(0.2)
    except KeyboardInterrupt:
        kubelet.close()


if __name__ == "__main__":
    main()
