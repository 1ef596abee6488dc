"""How fast questions about jobs are answered, with a million task runs in the database."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import Completed

from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Run, Table, compare
from benchmarks.servers import server
from farm.dead_runs import mark_dead_runs
from farm.runs import find_run, list_runs
from farm.watch import read_chunks, read_progress
from flows.render import render_job
from helios.models.report import RunState

RUNS = CHUNKS = 1000
PREFECT_LIST = "prefect flow-run ls"
TIMES = 15
"""How often each question is asked."""
_TASK_RUNS = """
with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n + 1 < :chunks)
insert into task_run (name, task_key, dynamic_key, run_count, flow_run_id, state_id, state_type, state_name,
                      state_timestamp, expected_start_time, start_time, end_time, total_run_time,
                      empirical_policy, labels)
select 'chunk-' || n, 'render_chunk', flow_run.id || n, 1, flow_run.id, lower(hex(randomblob(4))) || '-' ||
       lower(hex(randomblob(2))) || '-4' || substr(lower(hex(randomblob(2))), 2) || '-8' ||
       substr(lower(hex(randomblob(2))), 2) || '-' || lower(hex(randomblob(6))), 'COMPLETED', 'Completed',
       flow_run.created, flow_run.created, flow_run.created, flow_run.created, '1970-01-01 00:00:01.500000', '{}', '{}'
from flow_run, numbers
"""
_STATES = """
insert into task_run_state (id, type, name, task_run_id) select state_id, state_type, state_name, id from task_run
"""


def measure(_extent: Extent) -> list[Table]:
    """Fill a database, and measure queries and commands."""
    with server():
        asyncio.run(_make_runs(RUNS))
        count = _fill(Path(os.environ["PREFECT_HOME"]), CHUNKS)
        title = f"with {RUNS} runs and {count} task runs in an SQLite database"
        return [asyncio.run(_questions(title)), asyncio.run(_commands(title))]


async def _questions(title: str) -> Table:
    async with get_client() as client:
        newest = (await list_runs(client, limit=1))[0].run
        questions: dict[str, Run] = {
            "list, the newest 20": lambda: list_runs(client),
            "list, failed ones": lambda: list_runs(client, states=[RunState.FAILED]),
            "list, by a part of the name": lambda: list_runs(client, name="run-77"),
            "one run by its id": lambda: find_run(client, str(newest.id)),
            "one run by its name": lambda: find_run(client, newest.name),
            "its progress": lambda: read_progress(client, newest),
            "its chunks": lambda: read_chunks(client, newest),
            "whether a run's process died": lambda: mark_dead_runs(client),
        }
        figures = await compare(questions, runs=TIMES)
    columns = (Column(measure=WALL, heading="ms", scale=1000, digits=0),)
    return Table(title=f"Questions about jobs, {title}", figures=figures, columns=columns)


async def _make_runs(count: int) -> None:
    async with get_client() as client:
        for number in range(count):
            await _make_run(client, number)


async def _make_run(client: PrefectClient, number: int) -> None:
    parameters = {"job": "job.json"}
    await client.create_flow_run(render_job, name=f"run-{number}", parameters=parameters, state=Completed())


def _fill(home: Path, chunks: int) -> int:
    with closing(sqlite3.connect(home / "prefect.db", timeout=600)) as database, database:
        database.execute(_TASK_RUNS, {"chunks": chunks})
        database.execute(_STATES)
        return int(database.execute("select count(*) from task_run").fetchone()[0])


async def _commands(title: str) -> Table:
    """Measure whole commands, from start to end, beside a command of Prefect."""
    commands = {
        "helios-job list": ["helios-job", "list"],
        PREFECT_LIST: ["prefect", "flow-run", "ls"],
        "importing Prefect's client": [sys.executable, "-c", "import prefect.client.orchestration"],
    }
    figures = await compare({name: _command(words) for name, words in commands.items()}, runs=5)
    return Table(title=f"Commands as a whole, {title}", figures=figures, reference=PREFECT_LIST)


def _command(words: list[str]) -> Run:
    async def run() -> None:
        await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)

    return run
