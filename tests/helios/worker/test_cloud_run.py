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

    def __init__(self, folder: Path, **variables: str) -> None:
        self.storage = Storage(StorageSettings(url=(folder / "store").as_uri()))
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {"HELIOS_JOB_PREFIXES": self.storage.url, "HELIOS_FOLDER": str(folder / "worker"), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "helios.worker", "serve", "--host", "127.0.0.1"],
            env={**os.environ, **environment, "PORT": self.url.rsplit(":", 1)[1]}, cwd=Path(__file__).parents[3],
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
