"""An own farm: what a chunk costs there, what it costs idle and with many nodes, and how fast outputs come back."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bare_dask import copy
from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Figure, Goal, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.overhead import A_CHUNK, pull, with_cost, write_link_job
from benchmarks.own_farm_transfers import measure_transfers
from benchmarks.servers import Server, server
from flows.render import render_job
from helios.models.report import JobReport
from testbed.cloud.own_farm import OwnFarm, own_farm

NODES, MANY, SLOTS = 4, 64, 2
AT_ONCE = NODES * SLOTS
FARM, LOCAL, DASK = "this flow on a farm", "this flow on this machine", "bare Dask: client.submit of the same command"
MANY_NODES = f"this flow on a farm of {MANY} nodes"
TOGETHER = "together_cpu_seconds"
IDLE_SECONDS = 30.0


def measure(extent: Extent) -> list[Table]:
    """Measure chunks of next to nothing on 4 and on 64 nodes, an idle farm, and outputs that come back."""
    chunks, runs = extent.farm_chunks, max(1, extent.runs // 2)
    with server() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name, "job")  # apart from the farms: all files in a job's folder are its input files
        folder.mkdir()
        with _farm(Path(name, "few"), NODES) as few:
            tables = [asyncio.run(_chunks(few, running, folder, chunks, runs=runs)), _idle(few)]
            if extent.farm_many:
                with _farm(Path(name, "many"), MANY) as many:
                    tables.append(asyncio.run(_many(few, many, running, folder, chunks, runs=runs)))
    return [*tables, *measure_transfers(extent.farm_outputs)]


@contextmanager
def _farm(folder: Path, nodes: int) -> Iterator[OwnFarm]:
    folder.mkdir()
    with own_farm(folder, nodes=nodes, slots=SLOTS, apart=lambda _: None) as farm:
        yield farm


async def _chunks(farm: OwnFarm, running: Server, folder: Path, chunks: int, *, runs: int) -> Table:
    """The cost of a chunk, beside the same flow on this machine, and beside Dask alone."""
    job = write_link_job(folder, chunks)
    figures = await compare(
        {
            FARM: lambda: _render(job, chunks, farm.config),
            LOCAL: lambda: _render(job, chunks, {"type": "local"}),
            DASK: lambda: _submit(farm, folder, chunks),
        },
        runs=runs, settle=running.settled, meters=[ProcessMeter("flow"), *_meters(farm)],
    )  # fmt: skip
    table = _table(f"{chunks:,} chunks of next to nothing on {NODES} nodes, {AT_ONCE} at a time", figures, chunks)
    added = table.figure(FARM).median(A_CHUNK + TOGETHER) - table.figure(LOCAL).median(A_CHUNK + "flow_cpu_seconds")
    goal = Goal(
        text=f"a farm of {NODES} nodes adds at most 12 ms of CPU a chunk to flow and scheduler", value=added, most=12
    )
    note = f"Beside the same flow on this machine, a farm adds {added:.1f} ms of CPU a chunk to flow and scheduler."
    return table.model_copy(update={"goals": (goal,), "note": note})


async def _many(few: OwnFarm, many: OwnFarm, running: Server, folder: Path, chunks: int, *, runs: int) -> Table:
    """The cost of a chunk with many nodes joined, beside that with few."""
    job = write_link_job(folder, chunks)
    meters = [ProcessMeter("flow"), *_meters(few, "few"), *_meters(many, "many")]
    figures = await compare(
        {FARM: lambda: _render(job, chunks, few.config), MANY_NODES: lambda: _render(job, chunks, many.config)},
        runs=runs, settle=running.settled, meters=meters,
    )  # fmt: skip
    named = tuple(_of(figure, "few" if figure.name == FARM else "many") for figure in figures)
    table = _table(f"{chunks:,} chunks of next to nothing, {NODES} and {MANY} nodes joined", named, chunks)
    table = table.model_copy(update={"reference": FARM, "ratio_of": A_CHUNK + TOGETHER})
    grown = table.ratio(table.figure(MANY_NODES)) or 0
    goal = Goal(
        text=f"{MANY} nodes: at most 1.1 times the CPU of flow and scheduler with {NODES}", value=grown, most=1.1
    )
    return table.model_copy(update={"goals": (goal,)})


def _idle(farm: OwnFarm) -> Table:
    """A farm that renders nothing."""
    meters = _meters(farm)
    for meter in meters:
        meter.start()
    time.sleep(IDLE_SECONDS)
    shares = {meter.name: meter.read()[f"{meter.name}_cpu_seconds"] / IDLE_SECONDS * 100 for meter in meters}
    sample = {
        "scheduler": shares["scheduler"],
        "node": shares["nodes"] / NODES,
        "together": shares["scheduler"] + shares["nodes"],
    }
    columns = (Column(measure="scheduler", heading="scheduler, % of a core"),
               Column(measure="node", heading="each node, % of a core"),
               Column(measure="together", heading="together, % of a core"))  # fmt: skip
    goal = Goal(text=f"an idle farm of {NODES} nodes: at most 2 % of a core", value=sample["together"], most=2)
    figure = Figure(name=f"scheduler, {NODES} nodes", samples=(sample,))
    return Table(title="An idle farm", figures=(figure,), columns=columns, ratio_of="together", goals=(goal,))


def _meters(farm: OwnFarm, suffix: str = "") -> list[ProcessMeter]:
    assert farm.scheduler is not None
    tail = f"_{suffix}" if suffix else ""
    return [ProcessMeter(f"scheduler{tail}", farm.scheduler.pid), _NodesMeter(f"nodes{tail}", farm)]


class _NodesMeter(ProcessMeter):
    """The nodes' own processes, without those that they start."""

    def __init__(self, name: str, farm: OwnFarm) -> None:
        super().__init__(name)
        self._pids = [process.pid for process in farm.nodes.values()]

    def _processes(self) -> list[int]:
        return self._pids


def _of(figure: Figure, suffix: str) -> Figure:
    """A figure with the meters of one farm alone."""
    tail = f"_{suffix}_cpu_seconds"
    samples = [
        {
            **sample,
            **{f"{name.removesuffix(tail)}_cpu_seconds": value for name, value in sample.items() if tail in name},
        }
        for sample in figure.samples
    ]
    return figure.model_copy(update={"samples": tuple(samples)})


def _table(title: str, figures: tuple[Figure, ...], chunks: int) -> Table:
    together = []
    for figure in figures:
        samples = tuple(
            {**sample, TOGETHER: sample["flow_cpu_seconds"] + sample["scheduler_cpu_seconds"]}
            for sample in figure.samples
        )
        together.append(with_cost(figure.model_copy(update={"samples": samples}), chunks))
    columns = (
        Column(measure=WALL, heading="s"),
        Column(measure=A_CHUNK + WALL, heading="ms a chunk"),
        Column(measure=A_CHUNK + "flow_cpu_seconds", heading="CPU, flow, ms a chunk"),
        Column(measure=A_CHUNK + "scheduler_cpu_seconds", heading="CPU, scheduler, ms a chunk"),
        Column(measure=A_CHUNK + TOGETHER, heading="together"),
        Column(measure=A_CHUNK + "nodes_cpu_seconds", heading="CPU, nodes, ms a chunk"),
    )
    return Table(title=title, figures=tuple(together), reference=figures[-1].name, columns=columns,
                 ratio_of=A_CHUNK + TOGETHER)  # fmt: skip


async def _render(job: Path, chunks: int, adapter: dict[str, Any]) -> None:
    report = await render_job(str(job), concurrency=AT_ONCE, adapter=adapter)
    assert isinstance(report, JobReport)
    assert report.frames == chunks


async def _submit(farm: OwnFarm, folder: Path, chunks: int) -> None:
    async with _client(farm) as client:

        async def work(number: int) -> None:
            await client.submit(copy, str(folder / "clip.mp4"), copies, number, pure=False, retries=0)

        with tempfile.TemporaryDirectory() as copies:  # not among the input files of the next run
            await pull(chunks, AT_ONCE, work)


@asynccontextmanager
async def _client(farm: OwnFarm) -> AsyncIterator[Any]:
    from distributed import Client

    from helios.own_farm.certificates import farm_security

    async with Client(farm.token.address, asynchronous=True, security=farm_security(farm.token.secret),
                      set_as_default=False) as client:  # fmt: skip
        yield client
