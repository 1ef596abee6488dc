"""What a node carries out for an adapter: one chunk, by the worker's runtime."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from helios.errors import WorkerUnavailableError
from helios.gpus import GpuPool, gpu_variables
from helios.job.attempts import write_answer
from helios.late_errors import ignore_late_error
from helios.models.invocation import PROTOCOL, ChunkAnswer, ChunkRequest
from helios.models.requires import NOTHING
from helios.own_farm.hours import Hours
from helios.worker.failures import failure_of
from helios.worker.runtime import WorkerRuntime, package_version, read_request

LOOK_SECONDS = 0.5
"""How often a chunk looks whether it is still wanted. Dask never stops a task that runs: neither a cancel nor the
flow's death ends it."""


CALLS_KEPT = 1000
"""Calls that are remembered of chunks which have not come yet: Dask brings the two on ways of their own."""


@dataclass(frozen=True)
class _Running:
    request: ChunkRequest
    since: float
    """Monotonic."""


@dataclass
class NodeWork:
    """The chunks of this process."""

    runtime: WorkerRuntime
    """Renders them."""
    name: str
    """The node's name."""
    slots: int
    """Chunks at a time."""
    tags: frozenset[str]
    """What the node can do."""
    gpus: GpuPool = field(default_factory=lambda: GpuPool(()))
    """The node's GPUs."""
    memory: int = 0
    """Bytes of memory that chunks may require together."""
    hours: Hours | None = None
    """When chunks are taken; always when None."""
    draining: bool = False
    """Nothing new is taken."""
    running: dict[str, _Running] = field(default_factory=dict)
    """By the attempts' URLs."""
    calls: dict[str, asyncio.Event] = field(default_factory=dict)
    """By the attempts' URLs: set where the flow has called the attempt off."""
    rendered: int = 0
    """How many were rendered."""
    rendering_seconds: float = 0
    """How long these took together."""
    failed: int = 0
    """How many failed."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nothing runs."""
    leave: Callable[[], None] = lambda: None
    """Ends the node, once what it renders is finished."""
    worker: Any = None
    """The `distributed.Worker` that they came through."""

    def __post_init__(self) -> None:
        self.idle.set()

    def state(self, _worker: object = None) -> dict[str, Any]:
        """What heartbeats carry; see `helios.own_farm.node_state.NodeState`."""
        return {
            "name": self.name,
            "version": package_version(),
            "protocol": PROTOCOL,
            "slots": self.slots,
            "tags": sorted(self.tags),
            "gpus": len(self.gpus.names),
            "chunks_per_gpu": self.gpus.chunks_per_gpu,
            "memory": self.memory,
            "rendered_by": self.runtime.identity.rendered_by or "",
            "hours": "" if self.hours is None else str(self.hours),
            "is_open": self.is_open(),
            "running": [_describe(url, running) for url, running in self.running.items()],
            "rendered": self.rendered,
            "failed": self.failed,
            "mean_seconds": self.rendering_seconds / self.rendered if self.rendered else None,
            "draining": self.draining,
        }

    def is_open(self) -> bool:
        """Whether its hours, if it has any, have come."""
        return self.hours is None or self.hours.hold(datetime.now().astimezone())

    async def carry_out(self, request_text: str, key: str) -> ChunkAnswer:
        """Render a chunk; end its command as soon as Dask says that nobody waits for it any more."""
        request = read_request(request_text)
        if self.draining:
            raise WorkerUnavailableError(f"The node {self.name} is stopping, and takes no chunks")
        url = request.attempt_url or request.job_path
        if self.called_off(url).is_set():
            raise WorkerUnavailableError("The chunk was cancelled before a worker took it on")
        since = time.monotonic()
        self.running[url] = _Running(request, since)
        self.idle.clear()
        work = asyncio.create_task(self._render(request))
        try:
            while not (await asyncio.wait([work], timeout=LOOK_SECONDS))[0]:
                if not self._is_wanted(key):
                    raise WorkerUnavailableError("Nobody waits for the chunk any more")
            answer = work.result()
        finally:
            work.add_done_callback(ignore_late_error)
            work.cancel()
            await asyncio.wait([work])
            self.running.pop(url, None)
            self.calls.pop(url, None)
            if not self.running:
                self.idle.set()
        if not request.probe:
            if answer.exit_code == 0:
                self.rendered += 1
                self.rendering_seconds += time.monotonic() - since
            else:
                self.failed += 1
        return answer

    def called_off(self, url: str) -> asyncio.Event:
        """What is set when the flow calls an attempt off.

        Args:
            url: The attempt's.
        """
        for earlier in [one for one in self.calls if one not in self.running][:-CALLS_KEPT]:
            del self.calls[earlier]
        return self.calls.setdefault(url, asyncio.Event())

    async def _render(self, request: ChunkRequest) -> ChunkAnswer:
        async with self.gpus.taken((request.requires or NOTHING).gpus) as gpus:
            own = {"env": {**request.env, **gpu_variables(gpus)}}
            return await self.runtime.run(request.model_copy(update=own))

    def _is_wanted(self, key: str) -> bool:
        """Whether the scheduler is there and still counts on the task; `state.tasks` is no public name of Dask's."""
        if self.worker.status.name not in {"running", "paused", "init"}:
            return False
        task = self.worker.state.tasks.get(key)
        return task is not None and task.state == "executing"


_HERE: list[NodeWork] = []
"""The node of this process: Dask calls a function by its name, and gives it no object of ours."""


def become(work: NodeWork) -> None:
    """Make this process's node known to the functions that Dask calls."""
    _HERE[:] = [work]


async def render(request: str, key: str) -> str:
    """Render a chunk on the node of this process: the one function that adapters ask for.

    Args:
        request: A `ChunkRequest` as JSON.
        key: Dask's key of this very task.

    Returns:
        A `ChunkAnswer` as JSON, whatever went wrong.
    """
    try:
        if not _HERE:
            raise WorkerUnavailableError("This Dask worker is no node of a farm; start it with helios-job node")
        answer = await _HERE[0].carry_out(request, key)
    except Exception as exc:  # noqa: BLE001  whoever asked gets an answer
        answer = ChunkAnswer.failed(failure_of(exc))
    return write_answer(answer).decode()


async def call_off(url: str) -> None:
    """Stop an attempt on the node of this process, or keep it from starting: called by the flow that waits for it."""
    for work in _HERE:
        work.called_off(url).set()


async def leave() -> None:
    """Let the node of this process finish what it renders, and end: called by the flow that asked a cluster for it."""
    for work in _HERE:
        work.leave()


def _describe(url: str, running: _Running) -> dict[str, Any]:
    requires = running.request.requires or NOTHING
    taken = {"gpus": requires.gpus, "memory": requires.memory}
    names = {"job": running.request.job_name, "chunk": _chunk(url)}
    return {**names, **taken, "attempt": url, "seconds": time.monotonic() - running.since}


def _chunk(url: str) -> str:
    """The chunk of an attempt's URL: …/chunk-7/attempt-1."""
    parts = url.split("/")
    return parts[-2] if parts[-1].startswith("attempt-") else ""
