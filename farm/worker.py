"""A Prefect worker whose jobs end with it.

On SIGTERM or Ctrl-C Prefect's own process worker takes no new runs, and waits for its running ones, which can
be hours; a second signal kills it, and its jobs crash. This one passes the first signal on: its jobs end as
Cancelled, with all their processes.
"""

import asyncio
import os
import signal
import socket
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psutil

from farm.errors import ServerStartError
from helios.errors import RequestError
from helios.variables import ALLOW_INLINE
from tasks.prefect_api import own_server
from tasks.request.inline import allows_inline
from tasks.run.termination import called_once_unread

ASK_AGAIN_SECONDS = 5.0
LOOK_SECONDS = 0.1


async def work(pool: str, limit: int | None, *, name: str | None = None, say: Callable[[str], None]) -> None:
    """Carry out runs of a pool until SIGTERM or Ctrl-C, and end them then.

    Args:
        pool: The work pool's name.
        limit: Jobs at a time; None for any number.
        name: The worker's name; None for the machine's, with the process id where another worker has it.
        say: Called with each line that a person should read.

    Raises:
        RequestError: The results of its jobs can't be kept where Prefect is told to keep them.
    """
    from prefect.workers.process import ProcessWorker

    from tasks.prefect_api.log import keep_terminals_plain

    keep_terminals_plain()
    with warnings.catch_warnings():
        # The class replaces Prefect's own worker in the registry of types, for which Prefect would print a warning.
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
                _check_variables(flow_run)
                self._underway.add(flow_run.id)
                try:
                    return await super().run(flow_run, configuration, task_status)
                finally:
                    self._underway.discard(flow_run.id)

            async def _get_scheduled_flow_runs(self) -> Any:
                # A run that was suspended and resumed at once still has its process, which goes on, or is at its end.
                # Prefect's worker would give it a second slot of its limit, and fails at that.
                found = await super()._get_scheduled_flow_runs()
                return [one for one in found if one.flow_run.id not in self._underway]

    own_name = await _look_around(pool, say)
    worker = JobWorker(work_pool_name=pool, limit=limit, name=name or own_name)
    serving = asyncio.create_task(worker.start(printer=say))

    async def stop() -> None:
        # In this order: a worker that is cancelled kills its flows' processes, and their jobs crash.
        worker.is_stopping = True
        await _end_jobs()
        serving.cancel()

    with _called_once_told_to_end(stop), suppress(asyncio.CancelledError):
        await serving
    _check_server()


def _check_server() -> None:
    if own_server.is_gone():
        raise ServerStartError(
            "The farm's Prefect server died, and so the farm has ended; helios-job up starts it anew"
        )


@contextmanager
def _called_once_told_to_end(stop: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Within the block, start `stop` at the first sign that this process is to end, and ignore the following.

    Signs are SIGTERM, Ctrl-C, the death of the farm's own server, and that nobody reads any more what is printed.
    """
    stopping: list[asyncio.Task[None]] = []

    def begin() -> None:
        if not stopping:
            stopping.append(asyncio.create_task(stop()))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin)
    looking = asyncio.create_task(_look_at_server(begin))
    with called_once_unread(begin):
        yield
    looking.cancel()


async def _look_at_server(end: Callable[[], None]) -> None:
    """Call a function once the server that ends with this process is gone."""
    await own_server.until_gone()
    end()


async def _look_around(pool: str, say: Callable[[str], None]) -> str:
    """Check what every job needs, say which runs were missed while no worker was there; find this worker a name."""
    from prefect.exceptions import ObjectNotFound

    from farm.missed_runs import mark_missed_runs
    from farm.workers import free_name
    from tasks.prefect_api.client import api_client
    from tasks.prefect_api.result_storage import check_result_storage

    async with api_client() as client:
        await check_result_storage(client)
        with suppress(ObjectNotFound):  # the pool is made with its first worker
            for run in await mark_missed_runs(client, pool):
                say(f"{run.name} ({run.id}) was missed: no worker was there")
            return await free_name(client, pool, socket.gethostname(), pid=os.getpid())
    return socket.gethostname()


def _check_variables(flow_run: Any) -> None:
    """Refuse a run that says by itself how its process is started: it could be any command, in any environment.

    Raises:
        RequestError: It does, and this worker takes nothing of the kind from callers.
    """
    names = ", ".join(sorted(flow_run.job_variables or {}))
    if names and not allows_inline():
        raise RequestError(
            f"This worker takes no job variables from a run ({names}); put them into the deployment, or set "
            f"{ALLOW_INLINE}=yes where the worker is started"
        )


async def _end_jobs() -> None:
    """Ask the flows' processes to end, and wait until they have.

    They are asked again and again: a signal that comes before the flow's own code has begun can be lost (Prefect's
    handler raises an exception in whatever it meets). A flow that is ending ignores a repeated SIGTERM.
    """
    asked: dict[int, float] = {}
    while flows := [process for process in psutil.Process().children() if _runs_a_flow(process)]:
        for process in flows:
            if time.monotonic() - asked.get(process.pid, 0.0) > ASK_AGAIN_SECONDS:
                asked[process.pid] = time.monotonic()
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGTERM)
        await asyncio.sleep(LOOK_SECONDS)


def _runs_a_flow(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "prefect" in " ".join(process.cmdline())
    except psutil.Error:
        return False
