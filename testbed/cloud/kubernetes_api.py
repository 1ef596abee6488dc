"""A stand-in of a Kubernetes cluster: its HTTP API, and the controllers that a Job of one pod needs.

It is no Kubernetes. It keeps Jobs, pods and Secrets in memory, checks every manifest against Kubernetes's own schemas
(`kubernetes-validate`, strict: an unknown field is refused), and knows the calls that the adapter and
`testbed.cloud.kubelet` make. Its controllers make a Job's pod, place pods on machines by CPU, GPUs and labels, finish
Jobs, and remove what is owned by nothing or has outlived its time. Gaps: access rights beyond the bearer token, quotas,
admission, watches, taints, and whatever else is not named here.
"""

import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.cloud.kubernetes_controllers import carry_on
from testbed.cloud.kubernetes_store import NotThereError, RefusedError, Store
from testbed.cloud.processes import ready, settings, wait_for_end
from testbed.http_server import Answer, answering

KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret"}


class Api:
    """Answers requests.

    Args:
        store: What there is.
        token: The bearer token that every request needs.
        logs: Where `testbed.cloud.kubelet` keeps the pods' logs.
    """

    def __init__(self, store: Store, *, token: str, logs: Path) -> None:
        self._store, self._token, self._logs = store, token, logs

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a request."""
        given = {name.lower(): value for name, value in headers.items()}
        if given.get("authorization") != f"Bearer {self._token}":
            return _status(401, "Unauthorized")
        address = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        words = address.path.strip("/").split("/")
        try:
            return self._of(method, words, query, json.loads(body) if body else {})
        except NotThereError as exc:
            return _status(404, str(exc))
        except RefusedError as exc:
            return _status(exc.code, str(exc))

    def _of(self, method: str, words: list[str], query: dict[str, str], body: Any) -> Answer:
        if words == ["api", "v1", "pods"]:
            return _json(_list("Pod", self._store.all("Pod")))
        place = words[words.index("namespaces") + 1 :] if "namespaces" in words else []
        match place:
            case [namespace, plural] if plural in KINDS:
                return self._collection(method, namespace, KINDS[plural], query, body)
            case [namespace, plural, name, *rest] if plural in KINDS:
                return self._one(method, (namespace, KINDS[plural], name), rest, query=query, body=body)
        return _status(404, "the server could not find the requested resource")

    def _collection(self, method: str, namespace: str, kind: str, query: dict[str, str], body: Any) -> Answer:
        if method == "POST":
            return _json(self._store.create(namespace, kind, body, dry_run=query.get("dryRun") == "All"), code=201)
        wanted = [part.partition("=") for part in query.get("labelSelector", "").split(",") if part]
        found = [one for one in self._store.all(kind, namespace) if _has(one, wanted)]
        return _json(_list(kind, found))

    def _one(
        self, method: str, key: tuple[str, str, str], rest: list[str], *, query: dict[str, str], body: Any
    ) -> Answer:
        if rest == ["log"]:
            lines = (self._logs / f"{self._store.get(key)['metadata']['uid']}.log").read_bytes().splitlines(True)
            return 200, {"Content-Type": "text/plain"}, b"".join(lines[-int(query.get("tailLines", 1000)) :])
        if rest == ["status"] and method == "PATCH":
            return _json(self._store.set_status(key, body["status"]))
        if method == "DELETE":
            grace = query.get("gracePeriodSeconds", (body or {}).get("gracePeriodSeconds"))
            return _json(self._store.delete(key, grace=None if grace is None else int(grace)))
        return _json(self._store.get(key))


def _has(one: dict[str, Any], wanted: list[tuple[str, str, str]]) -> bool:
    labels = one["metadata"].get("labels", {})
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in wanted)


def _list(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}


def _json(document: Any, *, code: int = 200) -> Answer:
    return code, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _status(code: int, message: str) -> Answer:
    return _json({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code},
                 code=code)  # fmt: skip


def main() -> None:
    """Serve until the caller ends."""
    wanted = settings()
    store = Store(namespaces=wanted["namespaces"])
    api = Api(store, token=wanted["token"], logs=Path(wanted["logs"]))

    def control() -> None:
        while True:
            carry_on(store, wanted["machines"])
            time.sleep(0.1)

    threading.Thread(target=control, daemon=True).start()
    with answering(api.answer) as url:
        ready(url=url)
        wait_for_end()


if __name__ == "__main__":
    main()
