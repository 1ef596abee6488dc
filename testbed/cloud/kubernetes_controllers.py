"""The controllers of the stand-in of a Kubernetes cluster (`testbed.cloud.kubernetes_api`)."""

import datetime
import secrets
from contextlib import suppress
from typing import Any

from testbed.cloud.kubernetes_store import NotThereError, Store, key_of, now

KINDS = ("Job", "Pod", "Secret")


def carry_on(store: Store, machines: dict[str, dict[str, Any]]) -> None:
    """Do what there is to do now.

    Args:
        store: What there is.
        machines: By name: `cpu`, `gpus` and `labels`.
    """
    with store.lock:
        for job in store.all("Job"):
            _of_job(store, job)
        for pod in store.all("Pod"):
            if "nodeName" not in pod["spec"] and "deletionTimestamp" not in pod["metadata"]:
                _schedule(store, pod, machines)
        _remove_the_ownerless(store)


def _of_job(store: Store, job: dict[str, Any]) -> None:
    uid, key = job["metadata"]["uid"], key_of(job, "Job")
    if conditions := job["status"].get("conditions"):
        if _age(conditions[0]["lastTransitionTime"]) > job["spec"].get("ttlSecondsAfterFinished", float("inf")):
            store.delete(key)
        return
    pods = [pod for pod in store.all("Pod") if pod["metadata"]["labels"].get("controller-uid") == uid]
    phases = {pod["status"]["phase"] for pod in pods}
    if _age(job["metadata"]["creationTimestamp"]) > job["spec"].get("activeDeadlineSeconds", float("inf")):
        _finish(store, job, "Failed", "DeadlineExceeded")
        for pod in pods:
            store.delete(key_of(pod, "Pod"))
    elif "Succeeded" in phases:
        _finish(store, job, "Complete", "")
    elif "Failed" in phases or (job["status"].get("active") and not pods):
        _finish(store, job, "Failed", "BackoffLimitExceeded")
    elif not pods:
        _make_pod(store, job)


def _make_pod(store: Store, job: dict[str, Any]) -> None:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    template = job["spec"]["template"]
    labels = {**template["metadata"]["labels"], "job-name": name, "controller-uid": uid}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    metadata = {"name": f"{name}-{secrets.token_hex(3)}", "labels": labels, "ownerReferences": [owner]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    store.create(job["metadata"]["namespace"], "Pod", manifest)
    store.set_status(key_of(job, "Job"), {"active": 1})


def _finish(store: Store, job: dict[str, Any], condition: str, reason: str) -> None:
    said = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": now()}
    store.set_status(key_of(job, "Job"), {"conditions": [said], "active": 0})


def _schedule(store: Store, pod: dict[str, Any], machines: dict[str, dict[str, Any]]) -> None:
    placed = [one for one in store.all("Pod") if one["status"]["phase"] in {"Pending", "Running"}]
    selector = pod["spec"].get("nodeSelector", {})
    reasons = []
    for name, machine in machines.items():
        there = [_needs(one) for one in placed if one["spec"].get("nodeName") == name]
        cpu, gpus = _needs(pod)
        if not selector.items() <= machine.get("labels", {}).items():
            reasons.append("node(s) didn't match Pod's node affinity/selector")
        elif cpu + sum(one[0] for one in there) > machine["cpu"]:
            reasons.append("Insufficient cpu")
        elif gpus + sum(one[1] for one in there) > machine.get("gpus", 0):
            reasons.append("Insufficient nvidia.com/gpu")
        else:
            store.place(key_of(pod, "Pod"), name)
            return
    counts = ", ".join(f"{reasons.count(one)} {one}" for one in sorted(set(reasons)))
    message = f"0/{len(machines)} nodes are available: {counts}."
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    store.set_status(key_of(pod, "Pod"), {"conditions": [said]})


def _needs(pod: dict[str, Any]) -> tuple[float, int]:
    resources = pod["spec"]["containers"][0].get("resources", {})
    cpu = resources.get("requests", {}).get("cpu", "0")
    return float(cpu), int(resources.get("limits", {}).get("nvidia.com/gpu", 0))


def _remove_the_ownerless(store: Store) -> None:
    uids = {one["metadata"]["uid"] for kind in KINDS for one in store.all(kind)}
    for kind in KINDS:
        for one in store.all(kind):
            owners = one["metadata"].get("ownerReferences", [])
            if owners and not any(owner["uid"] in uids for owner in owners):
                with suppress(NotThereError):
                    store.delete(key_of(one, kind))


def _age(time: str) -> float:
    return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(time)).total_seconds()
