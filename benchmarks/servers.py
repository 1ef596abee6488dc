"""A Prefect server for the bench, started as this program starts servers, on SQLite or on PostgreSQL."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from prefect.client.orchestration import get_client

from benchmarks.meters import ProcessMeter
from farm.server.connect import prefect_server
from testbed.postgres import find_programs, postgres

DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"
QUIET_SECONDS = 1.0
IDLE = 0.1
"""CPU seconds per second below which a server is idle; a server that does nothing takes a fifth of it."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    meters: tuple[ProcessMeter, ...]
    """The server's process, and that of its database where it has one."""

    async def settled(self) -> None:
        """Wait until the server has processed all that it was sent: no new task run for a second, then idle."""
        await _recorded()
        busy = IDLE
        while busy >= IDLE:
            before = self.meters[0].cpu_seconds()
            await asyncio.sleep(1)
            busy = self.meters[0].cpu_seconds() - before


def has_postgresql() -> bool:
    """Whether Debian's package is installed."""
    return find_programs() is not None


@contextmanager
def server(*, on_postgresql: bool = False) -> Iterator[Server]:
    """Run a server within the block, configured for this process and its children."""
    if not on_postgresql:
        with _server() as pid:
            yield Server((ProcessMeter("server", pid),))
        return
    programs = find_programs()
    assert programs is not None
    with postgres(programs) as database:
        os.environ[DATABASE] = database
        try:
            with _server() as pid:
                postmaster = next(process for process in psutil.process_iter() if _is_of(process, database))
                databases = ProcessMeter("database", postmaster.pid, with_children=True)
                yield Server((ProcessMeter("server", pid), databases))
        finally:
            del os.environ[DATABASE]


@contextmanager
def _server() -> Iterator[int]:
    with prefect_server() as access:
        assert access is not None
        own = psutil.Process().children()
        (pid,) = (process.pid for process in own if "farm.server.embedded" in process.cmdline())
        os.environ.update(access.client_environment)
        try:
            yield pid
        finally:
            for name in access.client_environment:
                del os.environ[name]


def _is_of(process: psutil.Process, database: str) -> bool:
    """Whether a process is the postmaster of a database's address."""
    port = database.rpartition("/")[0].rpartition(":")[2]
    try:
        words = process.cmdline()
        return process.name() == "postgres" and "-p" in words and words[words.index("-p") + 1] == port
    except (psutil.Error, IndexError):
        return False


async def _recorded() -> None:
    count, since = -1, time.monotonic()
    async with get_client() as client:
        while time.monotonic() - since < QUIET_SECONDS:
            now = int((await client.request("POST", "/task_runs/count", json={})).json())
            if now != count:
                count, since = now, time.monotonic()
            await asyncio.sleep(0.5)
