"""`helios-job worker`: a Prefect worker whose jobs end with it.

On SIGTERM or Ctrl-C Prefect's own process worker takes no new runs, and waits for those that it has started, which
can be hours; a second signal kills it, and its jobs crash. This one passes the first signal on: its jobs end as
Cancelled, with all their processes.
"""

import asyncio
import signal
import time
import warnings
from contextlib import suppress
from typing import Any
from uuid import UUID

import click
import psutil

from helios.errors import RequestError

ASK_AGAIN_SECONDS = 5.0


@click.command(epilog="Example: helios-job worker --pool helios --limit 2")
@click.option("--pool", default="helios", show_default=True, help="The work pool, of Prefect's type process.")
@click.option("--limit", type=click.IntRange(min=1), help="Jobs at a time. [default: no limit]")
def worker(pool: str, limit: int | None) -> int:
    """Carry out runs of deployments on this machine until SIGTERM or Ctrl-C, which end its jobs too."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise RequestError("A worker needs a Prefect server; start one (prefect server start), and name it: "
                           "prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api")  # fmt: skip
    from farm.server.connect import configured_server
    from farm.server.credentials import export_client_settings

    with configured_server():
        export_client_settings()
        asyncio.run(work(pool, limit))
    return 0


async def work(pool: str, limit: int | None) -> None:
    """Carry out runs of a pool until SIGTERM or Ctrl-C, and end them then.

    Args:
        pool: The work pool's name.
        limit: Jobs at a time; None for any number.
    """
    from prefect.workers.process import ProcessWorker

    with warnings.catch_warnings():
        # It takes the place of Prefect's own among the types of workers, which is said aloud otherwise.
        warnings.simplefilter("ignore")

        class JobWorker(ProcessWorker):
            """A process worker that can be told to take no new runs."""

            is_stopping = False

            def __init__(self, **settings: Any) -> None:
                super().__init__(**settings)
                self._underway: set[UUID] = set()

            async def get_and_submit_flow_runs(self) -> Any:
                return [] if self.is_stopping else await super().get_and_submit_flow_runs()

            async def run(self, flow_run: Any, configuration: Any, task_status: Any = None) -> Any:
                self._underway.add(flow_run.id)
                try:
                    return await super().run(flow_run, configuration, task_status)
                finally:
                    self._underway.discard(flow_run.id)

            async def _get_scheduled_flow_runs(self) -> Any:
                # A run that was suspended and resumed at once still has its process, which goes on, or is at its end.
                # Prefect's worker would give it a second slot of its limit, and fails of that.
                found = await super()._get_scheduled_flow_runs()
                return [one for one in found if one.flow_run.id not in self._underway]

    await _say_what_was_missed(pool)
    worker = JobWorker(work_pool_name=pool, limit=limit)
    serving = asyncio.create_task(worker.start(printer=click.echo))

    async def stop() -> None:
        # In this order: a worker that is cancelled kills its flows' processes, and their jobs crash.
        worker.is_stopping = True
        await _end_jobs()
        serving.cancel()

    stopping: list[asyncio.Task[None]] = []

    def begin() -> None:
        if not stopping:
            stopping.append(asyncio.create_task(stop()))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin)
    with suppress(asyncio.CancelledError):
        await serving


async def _say_what_was_missed(pool: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from farm.missed_runs import mark_missed_runs

    async with get_client() as client:
        with suppress(ObjectNotFound):  # the pool is made with its first worker
            for run in await mark_missed_runs(client, pool):
                click.echo(f"{run.name} ({run.id}) was missed: no worker was there")


async def _end_jobs() -> None:
    """Ask the flows' processes to end, and wait until they have.

    Again and again: a signal that comes before the flow's own code has begun can be lost (Prefect's handler raises an
    exception in whatever it meets). To a flow that is ending, another one is nothing.
    """
    asked: dict[int, float] = {}
    while flows := [process for process in psutil.Process().children() if _runs_a_flow(process)]:
        for process in flows:
            if time.monotonic() - asked.get(process.pid, 0.0) > ASK_AGAIN_SECONDS:
                asked[process.pid] = time.monotonic()
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)


def _runs_a_flow(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "prefect" in " ".join(process.cmdline())
    except psutil.Error:
        return False
