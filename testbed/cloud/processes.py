"""Start a stand-in as a process, learn its address, and end it with the caller."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def running(
    module: str, *, settings: Mapping[str, Any] | None = None, log: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Run a stand-in within the block.

    Args:
        module: Run as `python -m`; prints one line of JSON when it is ready.
        settings: Given to it as one line of JSON on standard input.
        log: Where its standard error goes; nowhere when None.

    Yields:
        What it printed, and `pid`: its process.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with open(log or os.devnull, "ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(dict(settings or {})) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"{module} did not start; its log is {log}"
        yield json.loads(line) | {"pid": process.pid}
    finally:
        with suppress(BrokenPipeError):  # it was killed
            process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def settings() -> dict[str, Any]:
    """In a stand-in: read the settings that its caller gives."""
    found = json.loads(sys.stdin.readline())
    assert isinstance(found, dict)
    return found


def ready(**about: Any) -> None:
    """In a stand-in: say that it is ready."""
    print(json.dumps(about), flush=True)


def wait_for_end() -> None:
    """In a stand-in: block until the caller is gone or closes the pipe."""
    sys.stdin.read()


def when_caller_ends(action: Any) -> None:
    """In a stand-in with a loop of its own: call a function once the caller is gone."""

    def watch() -> None:
        wait_for_end()
        action()

    threading.Thread(target=watch, daemon=True).start()


def when_its_command_runs(folder: str, action: Callable[[], object]) -> None:
    """In a stand-in: call a function half a second after a worker has started its command.

    Args:
        folder: The worker's folder, which its commands have in their environment.
        action: The function.
    """

    def watch() -> None:
        mark, deadline = f"HELIOS_WORKSPACE={folder}".encode(), time.monotonic() + 120
        while not _in_an_environment(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        action()

    threading.Thread(target=watch, daemon=True).start()


def _in_an_environment(mark: bytes) -> bool:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes():
                return True
    return False


_PORTS = range(20_000, 32_000)
"""Below the ports that the system gives to outgoing connections (32768 and up by default on Linux): no connection of
another process can take a port between its choice and the moment in which its server binds it."""
_claims: list[socket.socket] = []


def free_port() -> int:
    """Choose a free port of 127.0.0.1 for a server that is started next.

    No other test process on this machine chooses the port until this process ends: a socket in Linux's abstract
    namespace, which has the port in its name and vanishes with its process, reserves it.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0helios-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise AssertionError(f"no port of {_PORTS} is free")


def wait_until_listening(port: int, *, seconds: float = 60.0) -> None:
    """Wait until a server listens on a port."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            time.sleep(0.01)
