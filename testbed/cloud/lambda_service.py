"""AWS Lambda's invoke API in front of real runtime interface emulators, each with our handler in awslambdaric.

The emulator takes one invocation at a time and hides function errors; this service gives each invocation an instance
of its own, warm instances first, and reports errors as Lambda does. Gaps: no signatures are checked, memory is not
limited, asynchronous events are tried again after fractions of a second instead of minutes.
"""

import base64
import collections
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

from testbed.cloud.emulator import emulator
from testbed.cloud.http_service import Faults, serve
from testbed.cloud.processes import free_port, settings, wait_until_listening, when_its_command_runs
from testbed.http_server import Answer

HANDLER = "helios.worker.aws_lambda.handler"
SYNC_LIMIT, EVENT_LIMIT = 6 * 1024 * 1024, 1024 * 1024
RETRY_PAUSES = (0.2, 0.4)
ADDRESS = re.compile(r"/2015-03-31/functions/(?:.*:function:|[0-9]+:)?([^:/]+)(?::[^/]+)?/(invocations|configuration)")


class Instance:
    """One execution environment: an emulator, and the runtime that it started."""

    def __init__(self, function: dict[str, Any]) -> None:
        self.port = free_port()
        self._lines: collections.deque[str] = collections.deque(maxlen=20_000)
        self._said = threading.Condition()
        self._folder = tempfile.TemporaryDirectory(prefix="lambda-")
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.getcwd(),
            "LANG": "C.UTF-8",
            "HELIOS_FOLDER": self._folder.name,
            "AWS_LAMBDA_FUNCTION_NAME": function["name"],
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.get("timeout", 900)),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
            **function.get("env", {}),
        }
        command = [str(emulator()), "--log-level", "debug",
                   "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
                   "--runtime-api-address", f"127.0.0.1:{free_port()}",
                   sys.executable, "-m", "awslambdaric", function.get("handler", HANDLER)]  # fmt: skip
        self.process = subprocess.Popen(
            command, env=environment, cwd=self._folder.name, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        wait_until_listening(self.port)

    @property
    def folder(self) -> str:
        """The instance's own folder."""
        return self._folder.name

    def invoke(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, bool, bytes]:
        """Run one invocation; return its answer, whether that is an error, and the end of its log."""
        with self._said:
            self._lines.clear()
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/2015-03-31/functions/function/invocations", body, headers)
        answer = connection.getresponse()
        out = answer.read()
        connection.close()
        with self._said:
            self._said.wait_for(lambda: any("REPORT RequestId" in line for line in self._lines), 10)
            log = list(self._lines)
        failed = answer.status != 200 or any(
            "/runtime/invocation/" in line and "/error," in line and "API request" in line for line in log
        )
        if out.startswith(b"Task timed out"):
            out, failed = json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": out.decode()}).encode(), True
        shown = "".join(line for line in log if "(rapid)" not in line)
        return out, failed, shown.encode()[-4096:]

    def kill(self) -> None:
        """End the instance as Lambda ends an environment: all of its processes, at once."""
        # On SIGTERM the emulator kills its runtime; on SIGKILL it would leave a busy runtime behind.
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._kill_leftovers()
        self._folder.cleanup()

    def _kill_leftovers(self) -> None:
        mark = f"HELIOS_WORKSPACE={self._folder.name}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)
            except OSError:
                continue

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            with self._said:
                self._lines.append(raw.decode(errors="replace"))
                self._said.notify_all()


class Function:
    """A function and its instances.

    Args:
        about: Its settings.
        worked: Gets the milliseconds of each invocation that has ended.
    """

    def __init__(self, about: dict[str, Any], worked: list[float]) -> None:
        self.about = about
        self.instances: list[Instance] = []
        self._worked = worked
        self._idle: list[Instance] = []
        self._busy = 0
        self._lock = threading.Lock()

    def run(self, body: bytes, headers: dict[str, str], *, is_killed: bool) -> tuple[bytes, bool, bytes] | None:
        """Run an invocation; return None when it is throttled."""
        with self._lock:
            if self._busy >= self.about.get("concurrency", 4):
                return None
            self._busy += 1
            instance = self._idle.pop() if self._idle else None
        try:
            if instance is None or instance.process.poll() is not None:
                instance = Instance(self.about)
                self.instances.append(instance)
            if is_killed:
                when_its_command_runs(instance.folder, instance.kill)
            began = time.monotonic()
            try:
                return instance.invoke(body, headers)
            finally:
                self._worked.append((time.monotonic() - began) * 1000)
        except (OSError, http.client.HTTPException) as exc:
            out = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: 1 Error: Runtime exited: {exc}"}
            return json.dumps(out).encode(), True, b"END RequestId: 1"
        finally:
            with self._lock:
                self._busy -= 1
                if instance is not None and instance.process.poll() is None and not is_killed:
                    self._idle.append(instance)

    def close(self) -> None:
        """End all instances."""
        for instance in self.instances:
            if instance.process.poll() is None:
                instance.kill()


class Service:
    """The API, and the functions behind it."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.faults = Faults()
        self.functions = {
            name: Function({**about, "name": name}, self.faults.worked) for name, about in wanted["functions"].items()
        }

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """Answer a call."""
        request_id = str(uuid.uuid4())
        plain = urllib.parse.unquote(path.split("?")[0])
        if plain.startswith("/2016-08-19/account-settings"):
            limits = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}}
            return _json(200, limits, request_id)
        found = ADDRESS.fullmatch(plain)
        function = self.functions.get(found[1]) if found else None
        if found is None or function is None:
            return _error(
                404, "ResourceNotFoundException", f"Function not found: {found[1] if found else plain}", request_id
            )
        if self.faults.take("deny"):
            return _error(
                403, "AccessDeniedException", "User is not authorized to perform: lambda:InvokeFunction", request_id
            )
        if found[2] == "configuration":
            about = {"FunctionName": found[1], "State": "Active", "Timeout": function.about.get("timeout", 900),
                     "MemorySize": 2048, "EphemeralStorage": {"Size": 512}}  # fmt: skip
            return _json(200, about, request_id)
        return self._invoke(function, headers, body, request_id)

    def _invoke(self, function: Function, headers: dict[str, str], body: bytes, request_id: str) -> Answer | None:
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        self.faults.count(kind)
        if found := re.search(r"Credential=([^/]+)/", headers.get("authorization", "")):
            self.faults.count(f"key {found[1]}")
        limit = EVENT_LIMIT if kind == "Event" else SYNC_LIMIT
        if len(body) > limit:
            return _error(
                413, "RequestTooLargeException", f"{len(body)} byte payload is too large (limit {limit})", request_id
            )
        if kind == "DryRun":
            return 204, {"x-amzn-requestid": request_id}, b""
        if self.faults.take("throttle"):
            return _error(429, "TooManyRequestsException", "Rate Exceeded.", request_id)
        if self.faults.take("expired"):
            return _error(
                403, "ExpiredTokenException", "The security token included in the request is expired", request_id
            )
        forwarded = {"content-type": "application/json"}
        if kind == "Event":
            for _ in range(2 if self.faults.take("deliver-twice") else 1):
                threading.Thread(target=self._run_event, args=(function, body, forwarded), daemon=True).start()
            return 202, {"x-amzn-requestid": request_id}, b""
        ended = function.run(body, forwarded, is_killed=self.faults.take("kill"))
        if ended is None:
            self.faults.count("throttled")
            return _error(429, "TooManyRequestsException", "Rate Exceeded.", request_id)
        if self.faults.take("lose-answer"):
            return None
        out, failed, log = ended
        if self.faults.take("garble-answer"):
            out = b"<html>"
        about = {
            "x-amzn-requestid": request_id,
            "content-type": "application/json",
            "x-amz-executed-version": "$LATEST",
        }
        if failed:
            about["x-amz-function-error"] = "Unhandled"
        if headers.get("x-amz-log-type") == "Tail":
            about["x-amz-log-result"] = base64.b64encode(log).decode()
        return 200, about, out

    def _run_event(self, function: Function, body: bytes, headers: dict[str, str]) -> None:
        for pause in (*RETRY_PAUSES, None):
            while (ended := function.run(body, headers, is_killed=False)) is None:
                time.sleep(0.05)
            if not ended[1] or pause is None:
                return
            time.sleep(pause)


def _json(status: int, document: dict[str, Any], request_id: str) -> Answer:
    return status, {"x-amzn-requestid": request_id, "content-type": "application/json"}, json.dumps(document).encode()


def _error(status: int, code: str, message: str, request_id: str) -> Answer:
    status, headers, body = _json(status, {"Type": "User", "message": message, "Message": message}, request_id)
    return status, {**headers, "x-amzn-errortype": code}, body


def main() -> None:
    """Serve until the caller ends."""
    service = Service(settings())
    try:
        serve(service.respond, service.faults)
    finally:
        for function in service.functions.values():
            function.close()


if __name__ == "__main__":
    main()
