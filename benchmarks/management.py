"""How fast questions about jobs are answered, with a million task runs in the database.

`python -m benchmarks.management RUNS CHUNKS` does it in a process, and a database, of its own.
"""

import asyncio
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed

from cli.server import prefect_server
from flows.render import render_job
from helios.models.report import RunState
from tasks.dead_runs import mark_dead_runs
from tasks.job_runs import find_run, list_runs
from tasks.run_watch import read_chunks, read_progress

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


def measure(*, runs: int = 1000, chunks: int = 1000) -> str:
    """Measure in a process of its own, whose database nothing else uses."""
    with tempfile.TemporaryDirectory() as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.management", str(runs), str(chunks)],
            env={**environment, "PREFECT_HOME": home}, stdout=subprocess.PIPE, text=True, check=True,
        ).stdout  # fmt: skip


async def _questions() -> str:
    async with get_client() as client:
        newest = (await list_runs(client, limit=1))[0].run
        rows = {
            "list, the newest 20": lambda: list_runs(client),
            "list, failed ones": lambda: list_runs(client, states=[RunState.FAILED]),
            "list, by a part of the name": lambda: list_runs(client, name="run-77"),
            "one run by its id": lambda: find_run(client, str(newest.id)),
            "one run by its name": lambda: find_run(client, newest.name),
            "its progress": lambda: read_progress(client, newest),
            "its chunks": lambda: read_chunks(client, newest),
            "whether a run's process died": lambda: mark_dead_runs(client),
        }
        lines = ["| question | median ms | lowest to highest |", "|---|---|---|"]
        for name, ask in rows.items():
            times = [await _time(ask) for _ in range(TIMES)]
            spread = f"{min(times) * 1000:.0f} to {max(times) * 1000:.0f}"
            lines.append(f"| {name} | {statistics.median(times) * 1000:.0f} | {spread} |")
    return "\n".join(lines)


async def _time(ask: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await ask()
    return time.perf_counter() - started


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


def _commands() -> str:
    """Whole commands, from start to end, beside one of Prefect's own."""
    helios_job, prefect = (shutil.which(name) or name for name in ("helios-job", "prefect"))
    commands = {
        "`helios-job list`": [helios_job, "list"],
        "`prefect flow-run ls`": [prefect, "flow-run", "ls"],
        "importing Prefect's client": [sys.executable, "-c", "import prefect.client.orchestration"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(5):
        for name, words in commands.items():
            started = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    lines = ["| command, as a whole | median s | lowest to highest |", "|---|---|---|"]
    lines += [
        f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} |"
        for name, taken in times.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Fill a database, ask, and print a report."""
    runs, chunks = map(int, sys.argv[1:])
    with prefect_server():
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        asyncio.run(_make_runs(runs))
        count = _fill(Path(os.environ["PREFECT_HOME"]), chunks)
        print(f"Questions about jobs, with {runs} runs and {count} task runs in an SQLite database\n")
        print(asyncio.run(_questions()), "\n")
        print(_commands())


if __name__ == "__main__":
    main()
