"""A farm of several machines, as in docs/operations.md: PostgreSQL, one server, two workers; one worker dies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from testbed.cloud.processes import ROOT, free_port
from testbed.jobs import make_job, write_job
from testbed.postgres import find_programs, postgres
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, helios_job, until


def _can_unshare() -> bool:
    try:
        return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


PROGRAMS = find_programs()
AUTH = "helios:of-this-test"
pytestmark = [
    pytest.mark.skipif(PROGRAMS is None, reason="needs Debian's package postgresql"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


class Farm:
    """A server and its workers, each a process of its own that knows the others by address alone."""

    def __init__(self, database: str, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = {
            **own,
            "PREFECT_API_URL": self.url,
            "PREFECT_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            # The machines share results and job directories.
            "PREFECT_LOCAL_STORAGE_PATH": str(folder / "results"),
        }
        self.server = self.start(
            "server", sys.executable, "-m", "farm.server.settings", "prefect", "server", "start", "--port",
            str(self.port), PREFECT_API_DATABASE_CONNECTION_URL=database, PREFECT_SERVER_API_AUTH_STRING=AUTH,
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        )  # fmt: skip
        until(self._answers, seconds=240)

    def start(self, name: str, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a program of the farm with a PREFECT_HOME of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**self.environment, "PREFECT_HOME": str(self.folder / name), **environment},
            )  # fmt: skip

    def ask(self, *words: str | int | Path) -> str:
        """Run `helios-job` against the farm; return what it printed."""
        done = helios_job(*words, env={**self.environment, "PREFECT_HOME": str(self.folder / "client")})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self, run: str) -> dict[str, Any]:
        """A run's status."""
        found: dict[str, Any] = json.loads(self.ask("status", run, "--json"))
        return found

    def _answers(self) -> bool:
        assert self.server.poll() is None, (self.folder / "server.log").read_text()
        try:
            return httpx.get(f"{self.url}/health", timeout=30).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@contextmanager
def ended(processes: list["subprocess.Popen[bytes]"]) -> Iterator[None]:
    """End processes after the block, the last first."""
    try:
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def several_workers(folder: Path) -> Iterator[tuple[Farm, str, list["subprocess.Popen[bytes]"]]]:
    """A farm on a PostgreSQL database; the database, and the processes to be ended after the block."""
    assert PROGRAMS is not None
    with postgres(PROGRAMS) as database:
        processes: list[subprocess.Popen[bytes]] = []
        with ended(processes):
            farm = Farm(database, folder)
            processes.append(farm.server)
            yield farm, database, processes


def test_two_workers_one_dies(tmp_path: Path) -> None:
    """Jobs spread over both workers; a dead worker's job goes on at the other, and no accepted chunk is repeated."""
    with several_workers(tmp_path) as (farm, database, processes):
        assert "none here; helios-job worker is one, of the pool helios" in farm.ask("up", "--no-worker")
        workers = [
            farm.start(f"worker{number}", HELIOS_JOB, "worker", "--pool", "helios", "--limit", "1")
            for number in range(2)
        ]
        processes += workers
        runs = [_submit(farm, tmp_path / f"job{number}") for number in range(3)]
        # Each worker has a job, and two jobs have an accepted chunk.
        until(lambda: len(_busy(workers)) == 2 and sum(_accepted(tmp_path / f"job{n}") > 0 for n in range(3)) >= 2)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        for run in runs:
            until(partial(_is_completed, farm, run), seconds=300)
        for number in range(3):
            folder = tmp_path / f"job{number}"
            assert read_numbers(folder / "video.mp4") == list(range(40))
            rendered = [note.name.partition("-")[0] for note in (folder / "notes").iterdir()]
            # The chunk that was in flight when the worker died is rendered twice.
            assert len(set(rendered)) == 8
            assert len(rendered) <= 9
        assert asyncio.run(_recorded(database)).get("COMPLETED") == 3


@pytest.mark.skipif(not _can_unshare(), reason="needs the right to make mount namespaces")
def test_checkouts_at_other_paths(tmp_path: Path) -> None:
    """Workers that see the checkout at paths of their own, and no flow at its old one, carry on each other's runs."""
    with several_workers(tmp_path) as (farm, _, processes):
        farm.ask("up", "--no-worker")
        workers = [_worker_elsewhere(farm, f"worker{number}", tmp_path / f"checkout{number}") for number in (0, 1)]
        processes += workers
        run = _submit(farm, tmp_path / "job")
        until(lambda: _accepted(tmp_path / "job") > 0, seconds=300)
        (busy,) = [worker for worker in workers if worker.pid in _busy(workers)]
        busy.send_signal(signal.SIGKILL)
        busy.wait()
        until(lambda: _is_completed(farm, run), seconds=300)
        assert read_numbers(tmp_path / "job" / "video.mp4") == list(range(40))
        notes = [note.name.partition("-")[0] for note in (tmp_path / "job" / "notes").iterdir()]
        assert len(set(notes)) == 8
        assert len(notes) <= 9
        assert list((tmp_path / "checkout0").iterdir()) == [], "nothing is there outside the worker's namespace"


def _worker_elsewhere(farm: Farm, name: str, checkout: Path) -> "subprocess.Popen[bytes]":
    """A worker in a mount namespace of its own: the checkout is at another path, and has no flow at this one."""
    (empty := farm.folder / "empty").mkdir(exist_ok=True)
    checkout.mkdir()
    script = (
        f"mount --bind {ROOT} {checkout} && mount --bind {empty} {ROOT}/flows && cd {checkout} && "
        f"exec {HELIOS_JOB} worker --pool helios --limit 1"
    )
    return farm.start(name, "unshare", "--mount", "sh", "-c", script, PYTHONPATH=str(checkout))


def _submit(farm: Farm, folder: Path) -> str:
    (folder / "notes").mkdir(parents=True)
    words = ["--notes", str(folder / "notes"), "--misbehave", "slow:1.5"]
    path = write_job(folder, make_job([5] * 8, extra=words, outputFile="video.mp4"))
    return farm.ask("submit", path, "--concurrency", 1).strip()


def _busy(workers: list["subprocess.Popen[bytes]"]) -> list[int]:
    """The workers that have a flow's process."""
    return [worker.pid for worker in workers if psutil.Process(worker.pid).children()]


def _is_completed(farm: Farm, run: str) -> bool:
    return bool(farm.status(run)["state"] == "completed")


def _accepted(folder: Path) -> int:
    return len(list(folder.glob("chunk ?.mp4")))


async def _recorded(database: str) -> dict[str, int]:
    """The number of flow runs in PostgreSQL itself, by their state."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch("select state_type::text as type, count(*) as number from flow_run group by 1")
    finally:
        await connection.close()
    return {row["type"]: row["number"] for row in rows}
