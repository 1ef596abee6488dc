"""What the bench's jobs run on: a Prefect server that can be killed, a cloud, and a process to fork flows from."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import psutil
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.workers.process import ProcessWorker

from farm.server.credentials import ServerAccess
from farm.server.process import bound_socket, start_server
from faults.disks import can_mount
from faults.film import Film
from faults.scenario import Fault, Scenario
from testbed.cloud.aws import Aws, aws
from testbed.cloud.processes import ROOT, free_port
from testbed.prefect_home import furnish

if TYPE_CHECKING:
    from faults.lanes import Lanes

START_SECONDS = 600
"""For Prefect's server to start: five seconds, and many times that beside other work."""
POOL = "faults"
"""The work pool of the Prefect workers that are killed."""


class PrefectServer:
    """A server on a database of its own, which can be killed and started again.

    Args:
        folder: Its database and its log.
    """

    def __init__(self, folder: Path) -> None:
        self.access = ServerAccess.make(free_port())
        """Its address, and the credential of its clients."""
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.lock = asyncio.Lock()
        """Held while a fault strikes the server."""

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.access.url

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = start_server(self.access, bound_socket(self.access.port), log=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=5).status_code == httpx.codes.OK:
                    return
            assert time.monotonic() < deadline, f"the server did not start; its log is {self._log}"
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def stop(self) -> None:
        """Kill the server."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Farm:
    """Everything that trials share."""

    def __init__(self, folder: Path, server: PrefectServer, amazon: Aws | None, client: PrefectClient) -> None:
        self.folder = folder
        """Jobs, notes and logs; removed at the end."""
        self.server = server
        """Prefect's server."""
        self.amazon = amazon
        """S3 and Lambda; None where no job needs them."""
        self.client = client
        """Prefect's client."""
        self.film = Film(folder / "film")
        """Frames rendered beforehand."""
        self.lanes: Lanes | None = None
        """Own farms; None where no job needs them."""
        self._lambda = asyncio.Lock()
        self._worker = asyncio.Lock()
        self._deployment: UUID | None = None
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["faults.runner"])

    @asynccontextmanager
    async def alone(self, scenario: Scenario) -> AsyncIterator[None]:
        """Run one Lambda job at a time, since a fault strikes any job's next call; and one Prefect worker at a time."""
        async with AsyncExitStack() as locks:
            if scenario.on_lambda:
                await locks.enter_async_context(self._lambda)
            if any(strike.fault is Fault.KILL_WORKER for strike in scenario.strikes):
                await locks.enter_async_context(self._worker)
            yield

    async def deployment(self) -> UUID:
        """A deployment of the flow, for jobs that a Prefect worker runs."""
        if self._deployment is None:
            template = ProcessWorker.get_default_base_job_template()
            await self.client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
            flow_id = await self.client.create_flow_from_name("render-job")
            self._deployment = await self.client.create_deployment(
                flow_id, POOL, work_pool_name=POOL, entrypoint="flows/render.py:render_job", path=str(ROOT)
            )
        return self._deployment

    @property
    def result_storage(self) -> Path:
        """Where Prefect keeps the chunks' results."""
        return Path(os.environ["PREFECT_HOME"]) / "storage" / "helios-render"


@asynccontextmanager
async def a_farm(*, with_cloud: bool, own_farms: int = 0) -> AsyncIterator[Farm]:
    """Run a farm within the block.

    Args:
        with_cloud: Whether jobs run on Lambda.
        own_farms: How many jobs run on own farms at a time.
    """
    folder = Path(tempfile.mkdtemp(prefix="helios-faults-"))
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    # The bench reads no log lines from the server.
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
    furnish(folder / "prefect")
    server = PrefectServer(folder)
    with _cloud(folder, wanted=with_cloud) as amazon:
        if amazon is not None:
            os.environ.update(amazon.environment)
        os.environ.update(server.access.client_environment)
        await asyncio.to_thread(server.start)
        try:
            with temporary_settings({**server.access.client_settings, PREFECT_CLIENT_MAX_RETRIES: 10}):
                async with get_client() as client:
                    farm = Farm(folder, server, amazon, client)
                    with ExitStack() as stack:
                        if own_farms:
                            from faults.lanes import lanes

                            farm.lanes = stack.enter_context(lanes(folder, own_farms))
                            farm.processes.set_forkserver_preload(["faults.runner", "adapters.farm", "distributed"])
                        yield farm
        finally:
            server.stop()
            for name in server.access.client_environment:
                del os.environ[name]
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _cloud(folder: Path, *, wanted: bool) -> Iterator[Aws | None]:
    if not wanted:
        yield None
        return
    with aws(concurrency=8, log=folder / "aws.log") as amazon:
        yield amazon


def possible_faults(*, on_farm: bool = False) -> frozenset[Fault]:
    """The faults that are possible on this machine: a full disk needs the right to mount a disk, a cut network root."""
    if on_farm:
        from faults.lanes import can_cut

        possible = frozenset(Fault) if can_cut() else frozenset(Fault) - {Fault.CUT_NODE}
        return possible if can_mount() else possible - {Fault.FILL_NODE}
    return frozenset(Fault) if can_mount() else frozenset(Fault) - {Fault.DISK_FULL}


def processes_of(mark: str) -> list[psutil.Process]:
    """Every living process that carries a mark in its environment."""
    found = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                process = psutil.Process(pid)
                if is_alive(process):
                    found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def signal_all(processes: list[Any], number: signal.Signals) -> int:
    """Send a signal; return how many it reached."""
    reached = 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            process.send_signal(number)
            reached += 1
    return reached
