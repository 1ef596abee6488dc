"""A batch is cancelled, paused and resumed by name, and outlives the death of its process and a server's absence."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from farm import BatchStatus, batch_status
from tasks.prefect_api.api import RENDER_BATCHES
from testbed.jobs import make_job, write_job
from testbed.switchboard import Mode, switchboard
from testbed.video import read_numbers
from tests.command import here, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import begun

pytestmark = pytest.mark.usefixtures("prefect_api")


def write_batch(folder: Path, names: str, *, misbehave: str = "") -> list[str | Path | int]:
    """Write a template of two chunks and a table with a row for each letter; return the words of its command.

    Each chunk leaves a note in the folder `notes` as it begins, and then waits for `let_go`.
    """
    for name in ("gate", "notes"):
        (folder / name).mkdir()
    extra = ["--misbehave", misbehave or f"until:{folder / 'gate' / '{name}'}", "--notes", str(folder / "notes")]
    job = make_job((4, 3), name="{{name}}-{index}", extra=extra, id="film")
    (folder / "names.jsonl").write_text("\n".join(json.dumps({"name": name}) for name in names))
    output = str(folder / "out" / "{name}.mp4")
    template = write_job(folder, job)
    return ["batch", template, folder / "names.jsonl", "--output", output, "--concurrency", 1, "--retries", 0]


def let_go(folder: Path, names: str) -> None:
    """Let the chunks of rows end."""
    for name in names:
        (folder / "gate" / name).mkdir()
        (folder / "gate" / name / "all").touch()


@contextmanager
def batch_beside(*words: str | Path | int, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Run the command beside the test."""
    process = start_helios_job(*words, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def batch_in(folder: Path) -> FlowRun:
    """The run of the batch whose template lies in a folder."""

    async def read() -> FlowRun:
        async with get_client() as client:
            latest = FlowRunSort.EXPECTED_START_TIME_DESC
            runs = await client.read_flow_runs(flow_filter=RENDER_BATCHES, sort=latest)
            return next(run for run in runs if str(run.parameters["template"]).startswith(str(folder)))

    return asyncio.run(read())


def status_of(batch: FlowRun) -> BatchStatus:
    """Where a batch stands."""

    async def read() -> BatchStatus | None:
        async with get_client() as client:
            return await batch_status(str(batch.id), client=client)

    found = asyncio.run(read())
    assert found is not None
    return found


def states(batch: FlowRun) -> list[str]:
    """The state of a batch, and those of its rows."""
    found = status_of(batch)
    return [str(found.batch.state), *(str(row.run.state) for row in found.rows)]


@pytest.mark.slow
def test_paused_and_resumed(tmp_path: Path) -> None:
    """A paused batch pauses its rows, finishes chunks in flight and starts nothing; resumed by name, it renders all."""
    with batch_beside(*write_batch(tmp_path, "ABC"), "--at-once", 2) as process:
        until(lambda: begun(tmp_path) == 2 or process.poll() is not None)
        batch = batch_in(tmp_path)
        done = here("pause", batch.name)
        assert done.stdout.startswith(f"{batch.name} is paused; helios-job resume "), done.stderr
        while states(batch) != ["paused"] * 3:  # the test has a time limit
            time.sleep(1)
        let_go(tmp_path, "ABC")
        until(lambda: (tmp_path / "A-0.mp4").exists() and (tmp_path / "B-0.mp4").exists())
        time.sleep(2)  # in which a row, or a second chunk, would begin
        assert begun(tmp_path) == 2
        done = here("resume", batch.name)
        assert done.stdout == f"{batch.name} continues\n", done.stderr
        out, err = process.communicate()
        assert process.returncode == 0, err
    assert out.splitlines()[-1] == "3 rows rendered"
    for name in "ABC":
        assert read_numbers(tmp_path / "out" / f"{name}.mp4") == list(range(7))
    assert begun(tmp_path) == 6


def test_cancelled_by_name(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """`helios-job cancel BATCH` ends the rows' commands and their runs; `resume` renders what is left."""
    with batch_beside(*write_batch(tmp_path, "AB"), "--at-once", 2) as process:
        until(lambda: begun(tmp_path) == 2 or process.poll() is not None)
        batch = batch_in(tmp_path)
        done = here("cancel", batch.name)
        assert done.stdout == f"{batch.name}: cancelled\n", done.stderr
        _, err = process.communicate()
        assert process.returncode == 130, err
        assert f"helios-job resume {batch.id} renders the other rows" in err
    assert states(batch) == ["cancelled"] * 3
    assert processes_of(tmp_path) == []
    let_go(tmp_path, "AB")
    done = here("resume", batch.name)
    assert done.returncode == 0, done.stderr
    assert states(batch) == ["completed"] * 3
    assert "is completed already" in here("cancel", batch.name).stderr


@pytest.mark.slow
def test_its_process_died(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A killed batch and its rows are marked crashed; resumed, it renders the other rows, in the same runs."""
    words = write_batch(tmp_path, "ABC")
    let_go(tmp_path, "A")
    with batch_beside(*words, "--at-once", 2) as process:
        until(lambda: begun(tmp_path) == 4 or process.poll() is not None)  # A's two, B's and C's first
        batch = batch_in(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert states(batch) == ["crashed", "completed", "crashed", "crashed"]
    assert processes_of(tmp_path) == []
    listed = here("status", batch.name).stdout
    assert "helios-job resume" in listed  # said by this command, or by the server, whoever noticed it first
    let_go(tmp_path, "BC")
    done = here("resume", str(batch.id), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["doneBefore"], [row["row"] for row in report["rows"]]) == ([1], [2, 3])
    assert states(batch) == ["completed"] * 4
    for name in "ABC":
        assert read_numbers(tmp_path / "out" / f"{name}.mp4") == list(range(7))
    assert begun(tmp_path) == 2 + 2 * 3  # the killed chunks a second time


def test_a_row_that_failed_is_rendered_again(tmp_path: Path) -> None:
    """`helios-job resume` of a batch that failed renders the failed row in the same run, and no other."""
    words = write_batch(tmp_path, "AB", misbehave="{how}")
    (tmp_path / "names.jsonl").write_text('{"name": "A", "how": "slow:0"}\n{"name": "B", "how": "no-output"}')
    words[words.index("--output") + 1] = str(tmp_path / "out" / "{row}.mp4")
    done = here(*words)
    assert done.returncode == 1
    batch = batch_in(tmp_path)
    assert f"helios-job resume {batch.id} renders the other rows" in done.stderr
    count = begun(tmp_path)
    before = [row.run.run.run_count for row in status_of(batch).rows]
    done = here("resume", batch.name, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["runId"], report["doneBefore"], [row["row"] for row in report["rows"]]) == (str(batch.id), [1], [2])
    assert begun(tmp_path) > count
    assert [row.run.run.run_count for row in status_of(batch).rows] == [before[0], before[1] + 1]


@pytest.mark.parametrize("mode", [Mode.BUSY, Mode.AWAY])
@pytest.mark.slow
def test_a_server_that_is_away(tmp_path: Path, prefect_api: str, mode: Mode) -> None:
    """A server that answers 503, or no connection, as a row ends and the next begins costs the batch nothing."""
    port = urlsplit(prefect_api).port
    assert port is not None
    with switchboard(port) as board:
        env = {"PREFECT_API_URL": f"{board.url}/api"}
        with batch_beside(*write_batch(tmp_path, "ABC"), "--at-once", 1, env=env) as process:
            until(lambda: begun(tmp_path) == 1 or process.poll() is not None)
            batch = batch_in(tmp_path)
            board.switch(mode)
            let_go(tmp_path, "ABC")
            until(lambda: (tmp_path / "out" / "A.mp4").exists() or process.poll() is not None)
            met = board.refused[mode]
            until(lambda: board.refused[mode] >= met + 3 or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            board.switch(Mode.OPEN)
            out, err = process.communicate()
            assert process.returncode == 0, err
    assert out.splitlines()[-1] == "3 rows rendered"
    assert board.refused[mode] >= 4
    assert states(batch) == ["completed"] * 4
