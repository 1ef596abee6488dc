"""What a node says of itself with each heartbeat: read by adapters, which choose among nodes, and by people."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

METRIC = "helios"
"""Name of the entry in a Dask worker's metrics."""
SANDBOX_TAG = "bubblewrap"
"""A tag that every node has on which commands can run in a sandbox of bubblewrap."""
NODES = "helios_nodes"
"""Name of the scheduler's operation that answers with what its nodes said last."""


class RunningChunk(BaseModel):
    """What a node renders now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempt: str
    """The attempt's URL."""
    job: str = ""
    """The job's name."""
    chunk: str = ""
    """The chunk, such as `chunk-7`."""
    seconds: float = 0
    """Since it began."""
    gpus: int = 0
    """GPUs that it has for itself."""
    memory: int = 0
    """Bytes of memory that it said it needs."""


class NodeState(BaseModel):
    """A node."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    """Its name, which no other node of the farm has."""
    address: str
    """Dask's address of it."""
    version: str
    """Of the package that it runs."""
    protocol: int
    """What its worker speaks."""
    slots: Annotated[int, Field(ge=1)]
    """Chunks that it renders at a time."""
    tags: frozenset[str] = frozenset()
    """What it can do, as its owner named it."""
    gpus: int = 0
    """How many GPUs it has."""
    chunks_per_gpu: Annotated[int, Field(ge=1)] = 1
    """How many chunks may share one of them."""
    memory: int = 0
    """Bytes of memory that it has."""
    rendered_by: str = ""
    """How results name it: `helios.models.worker.WorkerResult.rendered_by`."""
    hours: str = ""
    """When it takes chunks, such as `19:00-07:00`; always when empty."""
    is_open: bool = True
    """Whether these hours have come."""
    running: tuple[RunningChunk, ...] = ()
    """What it renders now."""
    rendered: int = 0
    """Chunks that it has rendered since it started."""
    failed: int = 0
    """Chunks that failed there since it started."""
    mean_seconds: float | None = None
    """How long these took on average, from the request to the answer; None while there are none."""
    draining: bool = False
    """It takes no chunks any more."""
    given: tuple[str, ...] = ()
    """Dask's keys of the chunks that the scheduler has given it: known sooner than what it renders."""
    silent_seconds: float = 0
    """Since it was last heard of."""


def said_by_nodes(scheduler: Any) -> dict[str, Any]:
    """What the nodes of a scheduler (`distributed.Scheduler`) said last, without members that are no nodes of ours.

    Returns:
        By the nodes' addresses: when each was last heard of, in seconds before now, its state, the keys of its chunks,
        and whether it takes more.
    """
    now = time.time()
    return {
        address: {
            "silent": max(0.0, now - worker.last_seen),
            "state": worker.metrics[METRIC],
            "given": [task.key for task in worker.processing],
            "paused": worker.status.name == "paused",
        }
        for address, worker in scheduler.workers.items()
        if isinstance(worker.metrics.get(METRIC), dict)
    }


def read_nodes(said: Mapping[str, Any]) -> list[NodeState]:
    """The nodes in what a scheduler answers to `NODES`."""
    nodes = [
        NodeState.model_validate(
            {
                **node["state"],
                "address": address,
                "silent_seconds": node["silent"],
                "given": node["given"],
                "draining": node["state"]["draining"] or node["paused"],
            }
        )
        for address, node in said.items()
    ]
    return sorted(nodes, key=lambda node: node.name)
