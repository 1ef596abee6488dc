"""A small threaded HTTP server for stand-ins, with faults that a test can ask for.

`POST /faults` takes `{"kind": …, "times": …}`: this many of the next calls meet the fault. `GET /state` says which
calls were seen and which faults fired, so that a test can prove that its fault fired; and how long each worker was at
work, as a platform would measure it for its bill.
"""

import json
import threading
from collections import Counter
from typing import Any

from testbed.cloud.processes import ready, wait_for_end
from testbed.http_server import Answer, Respond, answering


class Faults:
    """The faults that calls are to meet, and how often each happened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        """Faults that happened, by kind."""
        self.seen: Counter[str] = Counter()
        """Calls, by the name under which they are counted."""
        self.worked: list[float] = []
        """Milliseconds of each worker's work that has ended."""

    def want(self, kind: str, times: int) -> None:
        """Make the next calls meet a fault."""
        with self._lock:
            self._wanted[kind] = times

    def take(self, kind: str) -> bool:
        """Whether this call meets the fault."""
        with self._lock:
            if not self._wanted[kind]:
                return False
            self._wanted[kind] -= 1
            self.fired[kind] += 1
            return True

    def count(self, name: str) -> None:
        """Count a call."""
        with self._lock:
            self.seen[name] += 1


def serve(respond: Respond, faults: Faults, **about: Any) -> None:
    """Serve on a free port of 127.0.0.1 until the caller ends."""

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        if path == "/faults":
            wanted = json.loads(body)
            faults.want(wanted["kind"], wanted["times"])
            return 200, {}, b"{}"
        if path == "/state":
            return 200, {}, json.dumps({"fired": faults.fired, "seen": faults.seen, "worked": faults.worked}).encode()
        return respond(method, path, headers, body)

    with answering(answer) as url:
        ready(url=url, **about)
        wait_for_end()
