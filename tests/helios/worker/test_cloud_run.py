"""The HTTP service, as a real process."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from helios.job.attempts import attempt_url
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.cloud.processes import free_port
from tests.helios.worker.stored import store_script


class Service:
    """A running worker."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.storage = Storage(StorageSettings(url=(folder / "store").as_uri()))
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {"HELIOS_JOB_PREFIXES": self.storage.url, "HELIOS_FOLDER": str(folder / "worker"), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "helios.worker", "serve", "--host", "127.0.0.1"],
            env={**os.environ, **environment, "PORT": self.url.rsplit(":", 1)[1]}, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    async def started(self, client: httpx.AsyncClient) -> None:
        """Wait until it is healthy."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        raise AssertionError("the service did not start")

    def request(self, script: str, *args: str) -> dict[str, object]:
        """A request that runs a script."""
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
        assert service.process.wait(20) == 0


async def test_health_and_a_chunk(client: tuple[Service, httpx.AsyncClient]) -> None:
    """Health says what runs; a chunk's answer is its body, with status 200 whatever the exit code."""
    service, http = client
    assert (await http.get("/health")).json()["running"] == 0
    answer = await http.post("/", json=service.request("print('hello')"))
    assert (answer.status_code, answer.json()["exitCode"], answer.json()["stdout"]) == (200, 0, "hello\n")
    answer = await http.post("/", json=service.request("import sys; sys.exit(5)"))
    assert (answer.status_code, answer.json()["exitCode"]) == (200, 5)


async def test_what_is_refused(client: tuple[Service, httpx.AsyncClient]) -> None:
    """No request, one that is too large, a place that is not allowed, another path or method."""
    _, http = client
    assert (await http.post("/", content=b"nonsense")).status_code == 400
    assert (await http.post("/", content=b" " * 300_000)).status_code == 413
    refused = await http.post("/", json={"jobPath": "/etc/passwd"})
    assert refused.status_code == 400
    assert "HELIOS_JOB_PREFIXES" in refused.json()["error"]["message"]
    assert (await http.post("/other", json={})).status_code == 404
    assert (await http.get("/")).status_code == 405


async def test_n_chunks_at_a_time(client: tuple[Service, httpx.AsyncClient], tmp_path: Path) -> None:
    """Two run side by side; a third is sent elsewhere."""
    service, http = client
    script = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(2)"
    works = [
        asyncio.create_task(http.post("/", json=service.request(script, str(tmp_path / f"{n}")))) for n in range(2)
    ]
    while not all((tmp_path / f"{n}").exists() for n in range(2)):
        await asyncio.sleep(0.05)
    assert (await http.get("/health")).json()["running"] == 2
    busy = await http.post("/", json=service.request("pass"))
    assert busy.status_code == 429
    assert busy.json()["error"]["kind"] == "unavailable"
    assert [answer.status_code for answer in await asyncio.gather(*works)] == [200, 200]


async def test_sigterm_lets_a_short_chunk_finish_and_reports_a_long_one(tmp_path: Path) -> None:
    """After SIGTERM nothing new is taken on; what ends within seconds is answered as it is, the rest is stopped."""
    service = Service(tmp_path, HELIOS_CHUNKS_AT_ONCE="2", HELIOS_GRACE_SECONDS="1")
    script = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(float(sys.argv[2]))"
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
        await service.started(http)
        short = asyncio.create_task(http.post("/", json=service.request(script, str(tmp_path / "a"), "1.5")))
        long = asyncio.create_task(http.post("/", json=service.request(script, str(tmp_path / "b"), "600")))
        while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
            await asyncio.sleep(0.05)
        started = time.monotonic()
        service.process.terminate()
        assert (await short).json()["exitCode"] == 0
        answer = await long
    assert answer.status_code == 503
    assert "stopped by its platform" in answer.json()["error"]["message"]
    assert service.process.wait(10) == 0
    assert time.monotonic() - started < 9, "Cloud Run kills after 10 s"
    assert not list((tmp_path / "worker" / "workspaces").iterdir())
