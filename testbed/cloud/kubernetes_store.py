"""The objects of the stand-in of a Kubernetes cluster (`testbed.cloud.kubernetes_api`)."""

import copy
import datetime
import threading
import uuid
from collections.abc import Collection
from typing import Any

import kubernetes_validate

VERSION = "1.33"
"""Of Kubernetes, whose schemas manifests are checked against."""
Key = tuple[str, str, str]
"""Namespace, kind and name."""


class NotThereError(Exception):
    """There is no such object."""


class RefusedError(Exception):
    """A request is refused, with a status of HTTP."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """Jobs, pods and Secrets.

    Args:
        namespaces: Those that exist.
    """

    def __init__(self, *, namespaces: Collection[str]) -> None:
        self._namespaces = namespaces
        self._objects: dict[Key, dict[str, Any]] = {}
        self.lock = threading.RLock()
        """Held while objects are read or changed."""

    def all(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """The objects of a kind."""
        with self.lock:
            found = [one for (place, what, _), one in self._objects.items() if what == kind
                     and namespace in (None, place)]  # fmt: skip
            return copy.deepcopy(found)

    def get(self, key: Key) -> dict[str, Any]:
        """An object."""
        with self.lock:
            if key not in self._objects:
                raise NotThereError(f'{key[1].lower()}s "{key[2]}" not found')
            return copy.deepcopy(self._objects[key])

    def create(self, namespace: str, kind: str, manifest: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Make an object after its manifest was checked."""
        if namespace not in self._namespaces:
            raise RefusedError(404, f'namespaces "{namespace}" not found')
        name = manifest["metadata"]["name"]
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except kubernetes_validate.ValidationError as exc:
            place = ".".join(map(str, exc.path))
            raise RefusedError(422, f'{kind} "{name}" is invalid: {place}: {exc.message}') from None
        made = copy.deepcopy(manifest)
        made["metadata"] |= {"uid": str(uuid.uuid4()), "namespace": namespace, "creationTimestamp": now(),
                             "resourceVersion": "1"}  # fmt: skip
        made.setdefault("status", {"phase": "Pending"} if kind == "Pod" else {})
        with self.lock:
            if (namespace, kind, name) in self._objects:
                raise RefusedError(409, f'{kind.lower()}s "{name}" already exists')
            if not dry_run:
                self._objects[namespace, kind, name] = made
        return copy.deepcopy(made)

    def set_status(self, key: Key, status: dict[str, Any]) -> dict[str, Any]:
        """Change fields of an object's status."""
        with self.lock:
            self.get(key)
            self._objects[key]["status"] |= status
            return self.get(key)

    def place(self, key: Key, machine: str) -> None:
        """Bind a pod to a machine."""
        with self.lock:
            self._objects[key]["spec"]["nodeName"] = machine

    def delete(self, key: Key, *, grace: int | None = None) -> dict[str, Any]:
        """Delete an object; a pod on a machine only begins to end, until its kubelet deletes it without grace."""
        with self.lock:
            found = self.get(key)
            is_live = found["status"].get("phase") in {"Pending", "Running"} and "nodeName" in found["spec"]
            if key[1] == "Pod" and grace != 0 and is_live:
                seconds = found["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
                self._objects[key]["metadata"].setdefault("deletionTimestamp", now())
                self._objects[key]["metadata"].setdefault("deletionGracePeriodSeconds", seconds)
            else:
                del self._objects[key]
            return found


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def key_of(one: dict[str, Any], kind: str) -> Key:
    """An object's key."""
    return one["metadata"]["namespace"], kind, one["metadata"]["name"]
