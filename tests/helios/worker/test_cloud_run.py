"""The HTTP service, as a real process."""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from helios.job.attempts import attempt_url
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker.cloud_run import FINISH_SECONDS
from helios.worker.settings import WorkerSettings
from testbed.cloud.processes import ROOT, free_port
from tests.command import until
from tests.helios.worker.stored import store_script

UNTIL = """
import os, sys, time
open(sys.argv[1], "w").close()
while not os.path.exists(sys.argv[2]): time.sleep(0.05)
"""


def test_a_service_has_ended_before_its_platform_kills_it() -> None:
    """The time for chunks to finish and the grace period fit into the ten seconds between SIGTERM and SIGKILL."""
    assert FINISH_SECONDS + WorkerSettings.grace_seconds < 10


class Service:
    """A running worker."""

    def __init__(self, folder: Path, *, files: int | None = None, **variables: str) -> None:
        self.storage = Storage(StorageSettings(url=(folder / "store").as_uri()))
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {"HELIOS_JOB_PREFIXES": self.storage.url, "HELIOS_FOLDER": str(folder / "worker"), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "helios.worker", "serve", "--host", "127.0.0.1"],
            env={**os.environ, **environment, "PORT": self.url.rsplit(":", 1)[1]}, cwd=Path(__file__).parents[3],
            preexec_fn=None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        )  # fmt: skip

    async def started(self, client: httpx.AsyncClient) -> None:
        """Wait until the worker is healthy."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        raise AssertionError(f"the service did not start; its exit code is {self.process.poll()}")

    def request(self, script: str, *args: str) -> dict[str, object]:
        """Store a job that runs a script; return the request for it."""
        job = store_script(self.storage, script, *args)
        return {"jobPath": job.job_url, "attemptUrl": attempt_url(str(job.job_url), 1)}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A worker that renders two chunks at a time, and a client of it."""
    service = Service(tmp_path, HELIOS_CHUNKS_AT_ONCE="2")
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            await service.started(http)
            yield service, http
    finally:
        service.process.terminate()
        assert service.process.wait(120) == 0


async def test_health_and_a_chunk(client: tuple[Service, httpx.AsyncClient]) -> None:
    """Health says how many chunks run; a chunk's answer is the body, with status 200 whatever the exit code."""
    service, http = client
    assert (await http.get("/health")).json()["running"] == 0
    answer = await http.post("/", json=service.request("print('hello')"))
    assert (answer.status_code, answer.json()["exitCode"], answer.json()["stdout"]) == (200, 0, "hello\n")
    answer = await http.post("/", json=service.request("import sys; sys.exit(5)"))
    assert (answer.status_code, answer.json()["exitCode"]) == (200, 5)


async def test_what_is_refused(client: tuple[Service, httpx.AsyncClient]) -> None:
    """An invalid request, a body that is too large, a place that is not allowed, another path or method are refused."""
    _, http = client
    assert (await http.post("/", content=b"nonsense")).status_code == 400
    assert (await http.post("/", content=b" " * 300_000)).status_code == 413
    refused = await http.post("/", json={"jobPath": "/etc/passwd"})
    assert refused.status_code == 400
    assert "HELIOS_JOB_PREFIXES" in refused.json()["error"]["message"]
    assert (await http.post("/other", json={})).status_code == 404
    assert (await http.get("/")).status_code == 405


async def test_n_chunks_at_a_time(client: tuple[Service, httpx.AsyncClient], tmp_path: Path) -> None:
    """A service for two chunks renders two side by side, and answers a third with 429."""
    service, http = client
    gate = str(tmp_path / "gate")
    works = [
        asyncio.create_task(http.post("/", json=service.request(UNTIL, str(tmp_path / f"{n}"), gate))) for n in range(2)
    ]
    await asyncio.to_thread(until, lambda: all((tmp_path / f"{n}").exists() for n in range(2)))
    assert (await http.get("/health")).json()["running"] == 2
    busy = await http.post("/", json=service.request("pass"))
    assert busy.status_code == 429
    assert busy.json()["error"]["kind"] == "unavailable"
    Path(gate).touch()
    assert [answer.status_code for answer in await asyncio.gather(*works)] == [200, 200]


async def test_sigterm_lets_a_short_chunk_finish_and_reports_a_long_one(tmp_path: Path) -> None:
    """After SIGTERM a chunk that ends within seconds is answered as usual; a longer chunk is stopped and reported."""
    service = Service(tmp_path, HELIOS_CHUNKS_AT_ONCE="2", HELIOS_GRACE_SECONDS="1")
    gate, closed = tmp_path / "gate", tmp_path / "closed"
    async with httpx.AsyncClient(base_url=service.url, timeout=120) as http:
        await service.started(http)
        # A first chunk loads what the worker imports late: the short chunk has only three seconds.
        assert (await http.post("/", json=service.request("pass"))).json()["exitCode"] == 0
        short = asyncio.create_task(http.post("/", json=service.request(UNTIL, str(tmp_path / "a"), str(gate))))
        long = asyncio.create_task(http.post("/", json=service.request(UNTIL, str(tmp_path / "b"), str(closed))))
        await asyncio.to_thread(until, lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
        service.process.terminate()
        gate.touch()
        assert (await short).json()["exitCode"] == 0
        answer = await long
    assert answer.status_code == 503
    assert "stopped by its platform" in answer.json()["error"]["message"]
    assert service.process.wait(120) == 0
    assert not list((tmp_path / "worker" / "workspaces").iterdir())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "http", "PORT is 'http'; expected a number"),
        ("HELIOS_CHUNKS_AT_ONCE", "0", "expected a whole number, 1"),
    ],
)
def test_a_service_that_can_t_start(name: str, value: str, says: str) -> None:
    """A service whose variables are wrong says so in a line, with an exit code of 2; a likely typo is said too."""
    done = subprocess.run(
        [sys.executable, "-m", "helios.worker", "serve"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, name: value, "HELIOS_JOB_PREFIX": "s3://b"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    typo, line = done.stderr.splitlines()
    assert typo == "helios.worker: nothing reads the variable HELIOS_JOB_PREFIX; did you mean HELIOS_JOB_PREFIXES?"
    assert line.startswith("helios.worker: ")
    assert says in line


def held_back(url: str, request: dict[str, object]) -> socket.socket:
    """A connection with a request whose last byte is missing."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(request).encode()
    connection = socket.create_connection((host, int(port)))
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[:-1])
    return connection


async def test_a_held_back_byte_gets_no_second_place(client: tuple[Service, httpx.AsyncClient], tmp_path: Path) -> None:
    """Requests whose last byte is held back run no more commands than the worker has places."""
    service, http = client
    gate = tmp_path / "gate"
    request = [service.request(UNTIL, str(tmp_path / f"began-{n}"), str(gate)) for n in range(6)]
    connections = []
    for count, one in enumerate(request, 1):
        connections.append(held_back(service.url, one))
        while (await http.get("/health")).json()["running"] < min(count, 2):
            await asyncio.sleep(0.01)
    for connection in connections:
        with suppress(OSError):
            connection.sendall(b"}")
    answers = await asyncio.gather(*(asyncio.to_thread(connection.recv, 12) for connection in connections[2:]))
    assert answers == [b"HTTP/1.1 429"] * 4
    await asyncio.to_thread(until, lambda: len(list(tmp_path.glob("began-*"))) == 2)
    gate.touch()
    answers = await asyncio.gather(*(asyncio.to_thread(connection.recv, 12) for connection in connections[:2]))
    assert answers == [b"HTTP/1.1 200"] * 2
    for connection in connections:
        connection.close()
    assert len(list(tmp_path.glob("began-*"))) == 2
    assert (await http.get("/health")).json()["running"] == 0


@pytest.mark.slow
async def test_half_open_connections_make_room(tmp_path: Path) -> None:
    """A worker with few open files answers while hundreds of connections send nothing, or half of their headers."""
    service = Service(tmp_path, files=256)
    host, port = service.url.removeprefix("http://").split(":")
    connections: list[socket.socket] = []
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            await service.started(http)
            for number in range(300):
                connections.append(socket.create_connection((host, int(port)), 60))
                if number % 2:
                    connections[-1].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-A: ")
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            answer = await http.post("/", json=service.request("print('hello')"))
        assert answer.json()["stdout"] == "hello\n"
    finally:
        for connection in connections:
            connection.close()
        service.process.terminate()
        assert service.process.wait(120) == 0


@pytest.mark.slow
async def test_slow_callers_are_left(client: tuple[Service, httpx.AsyncClient]) -> None:
    """A caller that sends a byte of its headers or its body now and then is left after some seconds."""
    service, http = client
    host, port = service.url.removeprefix("http://").split(":")

    def drip(start: bytes, drop: bytes) -> bytes:
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(start)
            connection.settimeout(0.2)
            while True:
                try:
                    return connection.recv(12)
                except TimeoutError:
                    connection.sendall(drop)
                except ConnectionResetError:
                    return b""

    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    again = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nX-A: "
    left = await asyncio.gather(
        asyncio.to_thread(drip, head + b"X-A: ", b"a"),
        asyncio.to_thread(drip, head + b"Content-Length: 100000\r\n\r\n", b" "),
        asyncio.to_thread(drip, again, b"a"),
    )
    assert list(left) == [b"", b"HTTP/1.1 408", b"HTTP/1.1 200"]
    assert (await http.get("/health")).json()["running"] == 0
