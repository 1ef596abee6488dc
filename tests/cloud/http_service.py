"""A small threaded HTTP server for stand-ins, with faults that a test can ask for.

`POST /faults` takes `{"kind": …, "times": …}`: the next so many calls meet the fault. `GET /state` says what was
seen: that is how a test proves that a fault fired.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cloud.processes import ready, wait_for_end

Answer = tuple[int, dict[str, str], bytes]
Respond = Callable[[str, str, dict[str, str], bytes], Answer | None]
"""Method, path, headers in lower case and body to status, headers and body; None cuts the connection."""


class Faults:
    """What is to go wrong, and how often it did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        """Faults that happened, by kind."""
        self.seen: Counter[str] = Counter()
        """Calls, by whatever name."""

    def want(self, kind: str, times: int) -> None:
        """Let the next calls meet a fault."""
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


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def serve(respond: Respond, faults: Faults, **about: Any) -> None:
    """Serve on a free port of 127.0.0.1 until the caller ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else header and body, written apart, wait 40 ms for each other

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path == "/faults":
                wanted = json.loads(body)
                faults.want(wanted["kind"], wanted["times"])
                answer: Answer | None = (200, {}, b"{}")
            elif self.path == "/state":
                answer = (200, {}, json.dumps({"fired": faults.fired, "seen": faults.seen}).encode())
            else:
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = respond(self.command, self.path, headers, body)
            try:
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers, data = answer
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True  # the caller gave up; as in the cloud, the work went on

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready(url=f"http://127.0.0.1:{server.server_port}", **about)
    wait_for_end()
    server.shutdown()
