"""The flow `render-batch`: a job for each row of a table."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from flows.batch import BatchEndedError, render_batch
from helios.models.batch import BatchReport
from helios.models.report import RunState
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import helios_job, here
from tests.conftest import ProcessesOf
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("prefect_api")


def write_batch(folder: Path, rows: list[dict[str, str]], *, misbehave: str = "{fault}") -> tuple[str, str]:
    """Write a template of two chunks, and a table beside it."""
    job = make_job((4, 3), name="{{name}}-{index}", extra=["--misbehave", misbehave], id="film")
    (folder / "names.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(write_job(folder, job)), str(folder / "names.jsonl")


async def render(template: str, table: str, **parameters: Any) -> tuple[State[Any], BatchReport]:
    """Run the flow; its videos are in `out`."""
    options = {"retries": 0, "concurrency": 2}
    output = str(Path(template).parent / "out" / "{name}.mp4")
    state: State[Any] = await render_batch(
        template, table, output_file=output, options=options, **parameters, return_state=True
    )
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, BatchEndedError) else result
    assert isinstance(report, BatchReport), state.message
    return state, report


async def test_rows_become_videos(tmp_path: Path) -> None:
    """Every row becomes a video of its own; a row that fails holds no other up, and is rendered again alone."""
    rows = [{"name": "Anna", "fault": ""}, {"name": "Bert & co", "fault": "no-output"}, {"name": "C'est", "fault": ""}]
    template, table = write_batch(tmp_path, rows)
    state, report = await render(template, table, at_once=2)
    assert state.is_failed()
    assert (state.message or "").startswith("1 of 3 rows failed: row 2 (chunk ")
    assert [row.state for row in report.rows] == [RunState.COMPLETED, RunState.FAILED, RunState.COMPLETED]
    for name in ("Anna", "C'est"):
        assert read_numbers(tmp_path / "out" / f"{name}.mp4") == list(range(7))
    async with get_client() as client:
        children = [await client.read_flow_run(row.run_id) for row in report.rows if row.run_id]  # type: ignore[arg-type]
        parents = {
            (await client.read_task_run(child.parent_task_run_id)).flow_run_id
            for child in children
            if child.parent_task_run_id
        }
    assert {str(parent) for parent in parents} == {report.run_id}
    assert len(children) == 3
    state, again = await render(template, table, failed_of=report.run_id)
    assert state.is_failed()
    assert ([row.row for row in again.rows], again.done_before) == ([2], (1, 3))


@pytest.mark.slow
async def test_a_row_that_is_added_renders_alone(tmp_path: Path) -> None:
    """Neither the table nor what other rows write is an input: a batch with one row more reuses all other chunks."""
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}])
    assert [row.reused for row in (await render(template, table))[1].rows] == [0]
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}, {"name": "B", "fault": ""}])
    for reused in ([2, 0], [2, 2]):
        state, report = await render(template, table)
        assert state.is_completed(), state.message
        assert [row.reused for row in report.rows] == reused


@pytest.mark.slow
async def test_a_cancelled_batch_leaves_nothing(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Cancelling a batch ends the commands of all its rows."""
    (tmp_path / "gate").mkdir()
    rows = [{"name": name, "fault": f"until:{tmp_path / 'gate'}"} for name in "AB"]
    template, table = write_batch(tmp_path, rows)
    going_on = cast(Any, render_batch(template, table, at_once=2, return_state=True))
    flow: asyncio.Task[Any] = asyncio.create_task(going_on)

    async def render_both() -> bool:
        words = [word for process in processes_of(tmp_path) for word in process.cmdline()]
        return any(word.startswith("A-") for word in words) and any(word.startswith("B-") for word in words)

    await eventually(render_both)
    flow.cancel()
    state = await flow
    assert state.is_cancelled(), state
    assert processes_of(tmp_path) == []


def test_the_command(tmp_path: Path) -> None:
    """The command says what became of each row, and how to go on after a failure."""
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}, {"name": "B", "fault": "no-output"}])
    done = here("batch", template, table, "--output", tmp_path / "{name}.mp4", "--retries", 0)
    assert done.returncode == 1
    size = (tmp_path / "A.mp4").stat().st_size
    assert done.stdout.startswith(f"row 1: {tmp_path}/A.mp4: 7 frames, 0.233 s, {size} bytes; done in ")
    assert "helios-job: 1 of 2 rows failed: row 2 (" in done.stderr
    assert re.search(r"helios-job resume [0-9a-f-]{36} renders the other rows", done.stderr)


@pytest.mark.slow
async def test_the_status_of_a_batch(tmp_path: Path, prefect_api: str) -> None:
    """`helios-job status` of a batch has a line for each row that has begun, and as JSON an object."""
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}, {"name": "B", "fault": "no-output"}])
    _, report = await render(template, table)
    environment = {**os.environ, "PREFECT_API_URL": prefect_api}
    done = helios_job("status", report.run_id, env=environment)
    assert done.returncode == 0, done.stderr
    name = done.stdout.split(" ", 1)[0]
    first, message, counts, *rows = done.stdout.splitlines()
    assert first == f"{name} ({report.run_id}): failed"
    assert message.startswith("  1 of 2 rows failed: row 2")
    assert counts == "  rows that have begun: 1 completed, 1 failed"
    assert [row.split()[:4] for row in rows] == [
        ["row", "1", "completed", f"{name}-row-1"],
        ["row", "2", "failed", f"{name}-row-2"],
    ]
    told = json.loads(helios_job("status", name, "--json", env=environment).stdout)
    assert [(row["row"], row["runId"], row["state"]) for row in told["rows"]] == [
        (row.row, row.run_id, row.state) for row in report.rows
    ]
    assert "There is no run 'gone'" in helios_job("status", "gone", env=environment).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "all.mp4"], "rows 1 and 2 both have"),
        (["--output", "{nam}.mp4"], "has a placeholder {nam} that is not known"),
        (["--row", 3], "has no row 3; expected 1 to 2"),
        (["--adapter", "nope"], "row 1: Unknown adapter 'nope'"),
    ],
)
def test_batches_that_do_not_work(tmp_path: Path, words: list[str | int], said: str) -> None:
    """A batch of which one row can't work is refused as a whole, before anything runs."""
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}, {"name": "B", "fault": ""}])
    done = here("batch", template, table, *words)
    assert done.returncode == 2
    assert said in done.stderr
