"""Dask as a farm uses it: its settings, and how its errors are read."""

import logging
import ssl
from typing import Any

SILENCE_SECONDS = 15
"""A node that says nothing for so long is given up, and what it rendered is rendered elsewhere."""
ABSENCE_SECONDS = 1
"""A chunk that was given to a node which has left is given back after so long."""
LOOK_SECONDS = 1.0
"""Between two looks of the scheduler at which nodes say nothing. By default Dask looks every `SILENCE_SECONDS`, and so
would give a node up after twice that time."""
BEATS_PER_SECOND = 8
"""Reports of all nodes together that a scheduler asks for. By default Dask asks each for two a second, which costs more
than all else on an idle farm, and grows with its nodes."""
BEAT_SECONDS = (1.0, 5.0)
"""Bounds for the time between two reports of a node: a third of `SILENCE_SECONDS` at most."""
CONNECT_SECONDS = 10
"""For a connection between two parts of a farm."""

SETTINGS: dict[str, Any] = {
    # An adapter never repeats a chunk by itself: the flow counts attempts.
    "distributed.scheduler.allowed-failures": 0,
    # The adapter chooses the node of each chunk.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": f"{SILENCE_SECONDS}s",
    # A chunk for a node that left just before would wait for it for ever, in silence.
    "distributed.scheduler.no-workers-timeout": f"{ABSENCE_SECONDS}s",
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.comm.timeouts.tcp": f"{SILENCE_SECONDS}s",
    "distributed.comm.require-encryption": True,
    # What profiles Python code, watches the event loop and looks for copies of results costs an idle node, and an idle
    # scheduler, two per cent of a CPU each.
    "distributed.admin.tick.interval": "1s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.limit": "1h",
    # Dask adds up the size of every message, to give those above 10 MiB to a thread: those of files have 4 MiB.
    "distributed.comm.offload": False,
    # Pages that anybody on the machine could read.
    "distributed.worker.http.routes": [],
}


def set_up_engine() -> None:
    """Set Dask's settings in this process, and let it log nothing below an error."""
    import dask.config

    dask.config.set(SETTINGS)
    import distributed  # noqa: F401  it sets up its loggers when it is imported

    for name in ("distributed", "distributed.worker", "distributed.scheduler", "distributed.core", "distributed.client",
                 "distributed.comm", "distributed.nanny", "tornado.application"):  # fmt: skip
        logging.getLogger(name).setLevel(logging.CRITICAL)


def beat_seconds(nodes: int) -> float:
    """Seconds between two reports of one node, of so many."""
    least, most = BEAT_SECONDS
    return min(max(least, nodes / BEATS_PER_SECOND), most)


def close_http(part: Any) -> None:
    """Close the HTTP server that each part of Dask's has, also where it has no page to show.

    Args:
        part: A `distributed.Scheduler` or `distributed.Worker` that has started.
    """
    part.http_server.stop()


def is_refusal(exc: BaseException) -> bool:
    """Whether a connection failed since the other side is of another farm: one of the certificates was refused."""
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(seen) or "unknown ca" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
