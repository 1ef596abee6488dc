"""The Prefect server that a command talks to: the configured one, or one of its own for as long as it runs."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.settings.legacy import Setting

from farm.errors import ServerStartError
from farm.server.configured import check_configured
from farm.server.credentials import ServerAccess, find_farm, plain_client
from farm.server.database import configured, damage, prepared
from farm.server.process import bound_socket, start_server, stop_server
from tasks.prefect_api.own_server import own_server
from tasks.prefect_api.tls import NOBODY, has_no_tls

START_SECONDS = 180.0
"""The first start creates the database, which takes ten seconds on a slow machine, and many times that under load."""
DRAIN_SECONDS = 10.0
LEAST_BYTES = 16 * 1024 * 1024
"""Free disk with less of which a server may well not have started: its new database takes 2 MB."""


@contextmanager
def prefect_server(*, port: int | None = None) -> Iterator[ServerAccess | None]:
    """Have a Prefect API within the block: the configured one, that of `helios-job up`, or one of its own.

    Args:
        port: Where its own server listens. By default on any free port.

    Yields:
        The server, if it was started for the block and ends with it; None for a server that goes on.

    Raises:
        ServerStartError: It did not start; or the configured one does not answer, is no Prefect API or one of another
            version, or refuses the credential.
    """
    if PREFECT_API_URL.value():
        with configured_server():
            yield None
        return
    if running := find_farm():
        with _client_of(running.url, running.client_settings):
            check_configured(running.url, is_farm=True)
            yield None
        return
    log = PREFECT_HOME.value() / "helios-job-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    listener = bound_socket(port or 0)
    access = ServerAccess.make(listener.getsockname()[1])
    process: subprocess.Popen[bytes] | None = None
    try:
        with prepared():
            with log.open("wb") as output:
                process = start_server(access, listener, log=output)
            _wait_until_up(access, process, log)
        with own_server(process.pid), _client_of(access.url, access.client_settings):
            yield access
            # Events and log lines on their way need the server: without it, Prefect's clients try for a minute.
            APILogWorker.drain_all(timeout=DRAIN_SECONDS)
            EventsWorker.drain_all(timeout=DRAIN_SECONDS)
    finally:
        if process is not None:
            stop_server(process)


@contextmanager
def configured_server() -> Iterator[None]:
    """Use the server that PREFECT_API_URL names, with the user's credential; that of `helios-job up` with its own.

    Raises:
        ServerStartError: It does not answer, is no Prefect API or one of another version, or refuses the credential.
    """
    url = str(PREFECT_API_URL.value()).rstrip("/")
    farm = find_farm()
    is_farm = farm is not None and farm.url == url.replace("://localhost:", "://127.0.0.1:")
    with _client_of(url, farm.client_settings if farm and is_farm else {PREFECT_API_URL: url}):
        check_configured(url)
        yield


@contextmanager
def running_server() -> Iterator[str | None]:
    """Use a Prefect server within the block if there is one: the configured one, or that of `helios-job up`.

    Yields:
        The address of its UI; None if there is none.

    Raises:
        ServerStartError: The configured one can't be used.
    """
    url = PREFECT_API_URL.value() or ((running := find_farm()) and running.url)
    if not url:
        yield None
        return
    with prefect_server():
        yield str(url).rstrip("/").removesuffix("/api")


@contextmanager
def _client_of(url: str, settings: dict[Setting, Any]) -> Iterator[None]:
    """Have Prefect's clients talk to a server within the block.

    Prefect makes a client for each of its parts, four in a run; each loads all authorities, 40 ms of CPU, also where
    the server has no TLS.
    """
    if has_no_tls(url):
        settings = {**settings, PREFECT_API_SSL_CERT_FILE: str(NOBODY)}
    with temporary_settings(settings):
        yield


def _wait_until_up(access: ServerAccess, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with plain_client() as client:
        while time.monotonic() < deadline and process.poll() is None:
            if access.is_up(client):
                return
            time.sleep(0.05)
    code = process.poll()
    failed = f"did not start within {START_SECONDS:g} s" if code is None else f"ended with code {code} as it started"
    text = log.read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()][-3:]
    if (advice := damage(text) or configured(text)) is not None:
        lines.append(advice)
    if (free := shutil.disk_usage(log.parent).free) < LEAST_BYTES:
        lines.append(f"The disk of {log.parent} has {free // 1024} kB free; free some, or set PREFECT_HOME to a folder "
                     "of another disk")  # fmt: skip
    raise ServerStartError("\n  ".join([f"The Prefect server {failed}; its log is {log}:", *lines]))
