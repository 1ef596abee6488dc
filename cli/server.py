"""The Prefect server that a command talks to: the configured one, or one of its own for as long as it runs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from cli.errors import ServerStartError
from cli.server_settings import EMBEDDED

START_SECONDS = 180.0
"""The first start creates the database, which takes ten seconds on a slow machine, and many times that under load."""
STOP_SECONDS = 15.0
FARM_SECONDS = 5.0
DRAIN_SECONDS = 10.0


@contextmanager
def prefect_server(*, port: int | None = None) -> Iterator[str | None]:
    """Have a Prefect API within the block: the configured one, that of `helios-job up`, or one of its own.

    Args:
        port: Where one of its own listens. By default anywhere.

    Yields:
        The UI's address, if the server was started for the block and ends with it; None for the configured one.

    Raises:
        ServerStartError: It did not start, or the configured one does not answer.
    """
    if configured := PREFECT_API_URL.value():
        _check_reachable(configured)
        yield None
        return
    if running := find_farm():
        with temporary_settings({PREFECT_API_URL: running}):
            yield None
        return
    log = PREFECT_HOME.value() / "helios-job-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    url = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.embedded_server", str(port)],
            env={**os.environ, **EMBEDDED, "PREFECT_SERVER_UI_API_URL": url},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(url, process, log)
        with temporary_settings({PREFECT_API_URL: url}):
            yield url.removesuffix("/api")
            # What is still on its way needs the server: without it, Prefect's clients try for a minute.
            APILogWorker.drain_all(timeout=DRAIN_SECONDS)
            EventsWorker.drain_all(timeout=DRAIN_SECONDS)
    finally:
        _stop(process)


def find_farm() -> str | None:
    """The API's address of the `helios-job up` that runs with this PREFECT_HOME."""
    try:
        url = _farm_file().read_text(encoding="utf-8")
        return url if httpx.get(f"{url}/health", timeout=FARM_SECONDS).status_code == httpx.codes.OK else None
    except (OSError, httpx.HTTPError, httpx.InvalidURL):
        return None


@contextmanager
def announced_farm(url: str) -> Iterator[None]:
    """Let commands for which no server is configured find one within the block."""
    _farm_file().write_text(url, encoding="utf-8")
    try:
        yield
    finally:
        _farm_file().unlink(missing_ok=True)


def _farm_file() -> Path:
    return Path(PREFECT_HOME.value(), "helios-job-up")


def _check_reachable(url: str) -> None:
    try:
        httpx.get(f"{url}/health", timeout=30)
    except httpx.HTTPError as exc:
        raise ServerStartError(
            f"Prefect's API at {url} does not answer ({exc}); start it, or unset PREFECT_API_URL to have one started "
            "for the command"
        ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.HTTPError):
                if client.get(f"{url}/health").status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise ServerStartError(
        "\n  ".join([f"The Prefect server did not start within {START_SECONDS:g} s; its log is {log}:", *lines])
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
