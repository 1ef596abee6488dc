"""What a farm does, as figures for Prometheus: jobs, chunks, speed, failures, queue, cost, workers."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prometheus_client import start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from farm.queries import list_runs
from farm.runs import Order, RunStatus
from farm.workers import LIVE, MOST_RUNS, list_workers
from helios.errors import RequestError
from helios.models.report import RunState
from tasks.prefect_api.states import ENDED

KEPT = timedelta(minutes=15)
"""Figures of a run that has ended stay for so long, so that its last ones are read."""
FRESH_SECONDS = 5.0
"""Figures that are younger are given again: several readers ask the server no more often than one."""

_Values = Iterable[tuple[tuple[str, ...], float]]


async def read_metrics(client: PrefectClient) -> list[Metric]:
    """The figures now.

    Args:
        client: Prefect's.
    """
    waiting = await list_runs(states=[RunState.PENDING], limit=MOST_RUNS, client=client)
    live = await list_runs(states=LIVE, limit=MOST_RUNS, client=client)
    ended = await list_runs(states=sorted(ENDED), order=Order.ENDED, limit=MOST_RUNS, client=client)
    since = datetime.now(UTC) - KEPT
    recent = [status for status in ended if status.run.end_time is not None and status.run.end_time >= since]
    workers = await list_workers(client, live)
    states = Counter(status.state for status in (*waiting, *live, *recent))
    online = Counter("online" if worker.is_online else "offline" for worker in workers)
    return [
        _gauge("helios_jobs", "Jobs in a state; of those that have ended, the last quarter of an hour.", ("state",),
               (((state.value,), states[state]) for state in RunState)),
        _gauge("helios_workers", "Workers of the last day.", ("state",),
               (((state,), online[state]) for state in ("online", "offline"))),
        *_of_runs([*live, *recent]),
    ]  # fmt: skip


def _of_runs(runs: list[RunStatus]) -> Iterable[Metric]:
    known = [(status, status.progress) for status in runs if status.progress is not None]

    def each(name: str, words: str, value: Callable[..., float | None]) -> Metric:
        found = (((status.name, status.id), value(progress)) for status, progress in known)
        return _gauge(name, words, ("job", "run"), ((labels, one) for labels, one in found if one is not None))

    yield each("helios_job_frames", "Frames of the job.", lambda one: one.total_frames)
    yield each("helios_job_frames_accepted", "Frames of accepted chunks.", lambda one: one.frames)
    yield each("helios_job_chunks", "Chunks of the job.", lambda one: one.total_chunks)
    yield each("helios_job_chunks_accepted", "Accepted chunks.", lambda one: one.chunks)
    yield each("helios_job_chunks_waiting", "Chunks that wait for a slot of a limit.", lambda one: one.waiting_chunks)
    yield each("helios_job_frames_per_second", "Frames a second since rendering began.",
               lambda one: one.frames_per_second)  # fmt: skip
    yield _gauge("helios_job_failed_attempts", "Attempts that failed, by whose fault it was.", ("job", "run", "kind"), (
        ((status.name, status.id, kind), count) for status, progress in known
        for kind, count in (("command", progress.command_failures), ("environment", progress.environment_failures))
    ))  # fmt: skip
    yield _gauge("helios_job_cost", "What the job's workers have cost.", ("job", "run", "currency"), (
        ((status.name, status.id, progress.currency), progress.cost)
        for status, progress in known if progress.cost is not None
    ))  # fmt: skip


def _gauge(name: str, words: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


class FarmCollector(Collector):
    """Gives figures to Prometheus' library, which asks in threads of its own.

    Args:
        client: Prefect's.
        loop: Its event loop.
        patience: Seconds for which a reader waits for the server.
    """

    def __init__(self, client: PrefectClient, loop: asyncio.AbstractEventLoop, *, patience: float = 30.0) -> None:
        self._client, self._loop, self._patience = client, loop, patience
        self._read: list[Metric] = []
        self._at = -FRESH_SECONDS
        self._turn = asyncio.Lock()

    def collect(self) -> Iterable[Metric]:
        """The figures; without Prefect's server only that it does not answer."""
        try:
            found = asyncio.run_coroutine_threadsafe(self._fresh(), self._loop).result(self._patience)
        except Exception:  # noqa: BLE001  whatever keeps figures away, the reader is to see that they are
            found = []
        yield _gauge("helios_up", "Whether Prefect's server answers.", (), [((), float(bool(found)))])
        yield from found

    async def _fresh(self) -> list[Metric]:
        async with self._turn:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._read, self._at = await read_metrics(self._client), time.monotonic()
            return self._read


@asynccontextmanager
async def served(client: PrefectClient, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve the figures within the block; yields their address.

    Raises:
        RequestError: The address can't be listened at.
    """
    registry = CollectorRegistry()
    collector = FarmCollector(client, asyncio.get_running_loop())
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as exc:
        raise RequestError(
            f"{host}:{port} can't be listened at ({exc.strerror}); choose another port (--port), or another address of "
            "this machine (--host)"
        ) from None
    registry.register(collector)
    try:
        yield f"http://{host}:{port}/metrics"
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)
