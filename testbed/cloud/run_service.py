"""A Cloud Run service: Google's front door, and behind it instances of our HTTP worker, started on demand.

The front door checks the caller's identity token as Google does, with google-auth's own verification, and removes
its signature. Gaps: idle instances stay, no traffic splitting, no memory limit.
"""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from typing import Any

import google.auth.transport.requests
from google.oauth2 import id_token

from testbed.cloud.http_service import Faults, serve
from testbed.cloud.processes import free_port, settings, wait_until_listening, when_its_command_runs
from testbed.http_server import Answer


class Instance:
    """A container: our worker on a port of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.busy = 0
        self.is_ending = False
        """Whether it gets no more requests."""
        self._folder = tempfile.TemporaryDirectory(prefix="run-")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "helios.worker", "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "K_SERVICE": "helios-worker",
                 "HELIOS_FOLDER": self._folder.name, **environment},
            cwd=self._folder.name, start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_listening(self.port)

    @property
    def folder(self) -> str:
        """The instance's own folder."""
        return self._folder.name

    def call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Pass a request on."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {"content-type": answer.headers.get("content-type", "")}, answer.read()
        finally:
            connection.close()

    def close(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the instance: SIGTERM, and ten seconds later SIGKILL, as Cloud Run does."""
        self.is_ending = True
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._folder.cleanup()


class Service:
    """The service.

    Args:
        wanted: `certs_url` (where to find certificates), `instances`, `per_instance`, `env`.
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.faults = Faults()
        self._wanted = wanted
        self._instances: list[Instance] = []
        self._lock = threading.Lock()
        self._transport = google.auth.transport.requests.Request()

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """Answer a call."""
        trace = {"x-cloud-trace-context": uuid.uuid4().hex}
        if self.faults.take("deny"):
            return 403, trace, b"<html>Your client does not have permission to get URL / from this server.</html>"
        token = headers.get("authorization", "").removeprefix("Bearer ")
        audience = f"http://{headers['host']}"
        try:
            id_token.verify_token(token, self._transport, audience=audience, certs_url=self._wanted["certs_url"])
        except Exception as exc:  # noqa: BLE001  whatever is wrong with a token, the answer is the same
            self.faults.count(f"unauthorized: {type(exc).__name__}")
            return 401, trace, f"<html>Unauthorized: {exc}</html>".encode()
        self.faults.count("authorized")
        if self.faults.take("busy"):
            return 429, trace, b"Rate exceeded."
        began = time.monotonic()  # the start of an instance is billed
        instance = self._take()
        if instance is None:
            return 429, trace, b"The request was aborted because there was no available instance."
        if self.faults.take("kill"):
            when_its_command_runs(instance.folder, lambda: instance.close(signal.SIGKILL))
        if self.faults.take("shut-down"):
            when_its_command_runs(instance.folder, lambda: self._shut_down(instance))
        stripped = f"Bearer {token.rsplit('.', 1)[0]}.SIGNATURE_REMOVED_BY_GOOGLE"
        try:
            status, about, out = instance.call(
                method, path, body, {"authorization": stripped, "content-type": "application/json"}
            )
        except (OSError, http.client.HTTPException):
            return 503, trace, b"<html>The request failed because the instance could not handle it.</html>"
        finally:
            self._give_back(instance)
            self.faults.worked.append((time.monotonic() - began) * 1000)
        if self.faults.take("lose-answer"):
            return None
        return status, {**about, **trace}, out

    def _take(self) -> Instance | None:
        with self._lock:
            self._instances = [instance for instance in self._instances if instance.process.poll() is None]
            most = self._wanted.get("per_instance", 1)
            instance = next((found for found in self._instances if found.busy < most and not found.is_ending), None)
            if instance is None:
                if len(self._instances) >= self._wanted.get("instances", 4):
                    return None
                instance = Instance(self._wanted.get("env", {}))
                self._instances.append(instance)
            instance.busy += 1
            return instance

    def _shut_down(self, instance: Instance) -> None:
        self.faults.count("SIGTERM")
        instance.close()

    def _give_back(self, instance: Instance) -> None:
        with self._lock:
            instance.busy -= 1

    def close(self) -> None:
        """End all instances."""
        for instance in self._instances:
            instance.close()


def main() -> None:
    """Serve until the caller ends."""
    service = Service(settings())
    try:
        serve(service.respond, service.faults)
    finally:
        service.close()


if __name__ == "__main__":
    main()
