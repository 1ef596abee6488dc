"""The worth of each setting with which this program starts Prefect's server, and the cost of logging to it."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from benchmarks.extent import Extent, Links
from benchmarks.measure import WALL, Column, Figure, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.overhead import run_links, write_link_job
from benchmarks.servers import server
from farm.server.settings import EMBEDDED

LINKS = Links(1000, 10)
OURS, SILENT = "as this program starts it", "with no log lines in Prefect"
_RECORDER, _PERSISTER = "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER", "PREFECT_SERVER_SERVICES_EVENT_PERSISTER"
RECORDER = {f"{_RECORDER}_READ_BATCH_SIZE": "1", f"{_RECORDER}_BATCH_SIZE": "1", f"{_RECORDER}_FLUSH_INTERVAL": "5"}
PERSISTER = {
    f"{_PERSISTER}_READ_BATCH_SIZE": "1",
    f"{_PERSISTER}_BATCH_SIZE": "20",
    f"{_PERSISTER}_FLUSH_INTERVAL": "5",
}
VARIANTS: dict[str, Mapping[str, str]] = {
    OURS: {},
    "without batches of task runs": RECORDER,
    "without batches of events": PERSISTER,
    "Prefect's own settings": {**RECORDER, **PERSISTER},
    SILENT: {},
}
"""Prefect's defaults in place of ours; the last variant is a setting of the flow's process."""


def measure(extent: Extent) -> list[Table]:
    """Measure a job of a thousand chunks that cost next to nothing, on a fresh server each time."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        job = write_link_job(Path(name), LINKS.chunks)
        for _ in range(extent.runs):
            for variant, settings in VARIANTS.items():
                figures[variant] += _run(job, settings, has_log=variant != SILENT)
    columns = (
        Column(measure=WALL, heading="s until all is recorded"),
        Column(measure="flow_cpu_seconds", heading="CPU, flow, ms a chunk", scale=1000 / LINKS.chunks),
        Column(measure="server_cpu_seconds", heading="CPU, server, ms a chunk", scale=1000 / LINKS.chunks),
        Column(measure="server_written_mb", heading="server writes, kB a chunk", scale=1000 / LINKS.chunks),
    )
    return [
        Table(
            title=f"{LINKS.chunks:,} chunks of next to nothing, by the server's settings",
            figures=tuple(Figure(name=name, samples=tuple(samples)) for name, samples in figures.items()),
            reference=OURS,
            columns=columns,
        )
    ]


def _run(job: Path, settings: Mapping[str, str], *, has_log: bool) -> tuple[dict[str, float], ...]:
    in_flow = temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: has_log})
    with patch.dict(EMBEDDED, settings), server() as running, in_flow:
        (figure,) = asyncio.run(
            compare(
                {"": lambda: run_links(job, LINKS)}, runs=1, settle=running.settled, meters=[ProcessMeter("flow")],
                settled_meters=running.meters,
            )
        )  # fmt: skip
    return figure.samples
