"""The timeline, its picture and the table, of runs whose clocks are set by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from prefect.client.orchestration import get_client
from prefect.results import get_result_store

from helios.models.report import RunState
from helios.models.report_text import duration
from helios.models.worker import WorkerTimings
from tasks.page.chunk_table import MOST_ROWS as MOST_TABLE_ROWS
from tasks.page.chunk_table import chunk_table
from tasks.page.progress_text import describe
from tasks.page.timeline import Kind, chunk_stretches, explain, hedge_stretches, slowest
from tasks.page.timeline_picture import COLOURS, MOST_ROWS, draw_timeline
from tasks.prefect_api.api import RunApi
from tasks.request.prepare import prepare
from tasks.request.request import RenderRequest
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.identity import RunIdentity
from tasks.run.inputs import open_inputs
from tasks.run.progress import Phase, Progress, ProgressTracker
from tasks.run.run import Run
from testbed.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect_api")


class Maker:
    """Makes runs that have not begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, chunks: int) -> Run:
        """Make a run of a number of chunks."""
        job = prepare(RenderRequest(make_job([5] * chunks), job_dir=str(self.folder)))
        async with get_client() as client:
            identity = RunIdentity(job, run_id=str(uuid4()), key="job-0", token="t")
            log = getLogger(__name__)
            accepted = AcceptedChunks(identity, get_result_store(), log=log)
            inputs = await open_inputs(identity, accepted, log)
            return Run(identity, RunApi(client, log), inputs=inputs, accepted=accepted)


@pytest.fixture
def make_run(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def attempt(
    start: float, end: float, outcome: RunState = RunState.COMPLETED, worker: WorkerTimings | None = None
) -> AttemptTimes:
    return AttemptTimes(
        began=start, started=start, answered=end, fetched=end, ended=end, outcome=outcome,
        render_ms=round((end - start) * 1000) if worker is None else worker.render_ms, worker=worker,
    )  # fmt: skip


def finish(record: ChunkRecord, attempts: Sequence[AttemptTimes]) -> None:
    record.times.extend(attempts)
    record.state = attempts[-1].outcome


def seen(record: ChunkRecord, now: float) -> list[tuple[Kind, float, float]]:
    return [(one.kind, one.start, one.end) for one in chunk_stretches(record, now) if one.seconds or
            one.kind is Kind.REUSED]  # fmt: skip


async def test_a_second_attempt_is_drawn_beside_the_first(make_run: Maker) -> None:
    """The chunk's own row has no gaps, the second attempt has its own stretches, and the sentences say what it won."""
    run = await make_run(2)
    run.identity.job = replace(run.identity.job, hedge=0.05)
    finish(run.ledger.records[0], [attempt(0, 1)])
    record, second = run.ledger.records[1], attempt(6, 8)
    second.is_hedge, record.hedges = True, 1
    finish(record, [attempt(0, 8, RunState.CANCELLED), second])
    assert seen(record, 9.0) == [(Kind.STOPPED, 0, 8)]
    assert [(one.kind, one.start, one.end) for one in hedge_stretches(record, 9.0) if one.seconds] == [
        (Kind.HEDGING, 6, 8)]  # fmt: skip
    assert "1 second attempts of slow chunks, of which 1 won; they took 2.0 s, and 8.0 s of attempts were stopped." in (
        explain(run, 9.0, is_over=True))  # fmt: skip
    row = chunk_table(run.ledger, adapter="local", now=9.0)[1]
    assert (row["state"], row["attempts"], row["seconds"]) == ("completed, second attempt won", 2, "8.0")
    assert COLOURS[Kind.HEDGING] in draw_timeline(run, 9.0)


async def test_what_a_chunk_did_when(make_run: Maker) -> None:
    """A chunk's stretches are its wait, a failed attempt, the pause and the next attempt, without gaps."""
    run = await make_run(4)
    finish(run.ledger.records[0], [attempt(1, 2, RunState.FAILED), attempt(5, 9)])
    run.ledger.records[1].state, run.ledger.records[1].reused_at = RunState.COMPLETED, 0.5
    run.ledger.records[2].times.append(AttemptTimes(began=2, started=4))
    run.ledger.records[2].state = RunState.RUNNING
    assert seen(run.ledger.records[0], 10) == [
        (Kind.QUEUED, 0, 1), (Kind.FAILED, 1, 2), (Kind.QUEUED, 2, 5), (Kind.RETRYING, 5, 9),
    ]  # fmt: skip
    assert seen(run.ledger.records[1], 10) == [(Kind.REUSED, 0.5, 0.5)]
    assert seen(run.ledger.records[2], 10) == [(Kind.QUEUED, 0, 2), (Kind.QUEUED, 2, 4), (Kind.RENDERING, 4, 10)]
    assert seen(run.ledger.records[3], 10) == [(Kind.QUEUED, 0, 10)]


async def test_where_a_worker_s_time_went(make_run: Maker) -> None:
    """A worker's times become booting before the command, uploading and fetching after it, and then checking."""
    run = await make_run(1)
    worker = WorkerTimings(boot_ms=500, fetch_ms=500, render_ms=4000, verify_ms=500, upload_ms=500)
    times = attempt(0, 6, worker=worker)
    times.fetched, times.ended = 7, 7.5
    finish(run.ledger.records[0], [times])
    assert seen(run.ledger.records[0], 10) == [
        (Kind.BOOTING, 0, 1), (Kind.RENDERING, 1, 5), (Kind.UPLOADING, 5, 7), (Kind.CHECKING, 7, 7.5),
    ]  # fmt: skip


async def test_why_a_job_took_as_long_as_it_did(make_run: Maker) -> None:
    """The explanation has failed attempts, a slow last chunk and reused chunks; the slowest chunk has a reason."""
    run = await make_run(5)
    for number in range(3):
        finish(run.ledger.records[number], [attempt(0, 2)])
    finish(run.ledger.records[3], [attempt(2, 3, RunState.FAILED), attempt(4, 14)])
    run.ledger.records[4].state, run.ledger.records[4].reused_at = RunState.COMPLETED, 0.1
    lines = explain(run, 14, is_over=False)
    assert "1 of 5 chunks were reused, and cost nothing." in lines
    assert "1 attempts failed, and took 1.0 s." in lines
    assert "For the last 12.0 s of rendering, chunk 3 was alone." in lines
    assert "17.0 s of work in 14.0 s: 1.2 chunks at a time." in lines
    record, seconds, why = slowest(run, 14)[0]
    assert (record.chunk.id, seconds) == (3, 11)
    assert why.startswith("2 attempts, ")
    assert "5.5 × the median" in why


async def test_the_picture_has_a_row_for_each_chunk(make_run: Maker) -> None:
    """The picture has a row for each chunk in the colours of its stretches, and is valid XML and small."""
    run = await make_run(MOST_ROWS)
    for record in run.ledger.records.values():
        finish(record, [attempt(0, 1, RunState.FAILED), attempt(2, 5)])
    picture = draw_timeline(run, 10)
    root = ElementTree.fromstring(picture)  # noqa: S314  our own
    fills = [element.get("fill") for element in root.iter() if element.tag.endswith("rect")]
    legend = 1
    assert fills.count(COLOURS[Kind.FAILED]) == MOST_ROWS + legend
    assert fills.count(COLOURS[Kind.RETRYING]) == MOST_ROWS + legend
    assert COLOURS[Kind.UPLOADING] not in fills
    assert len(picture) < 80_000


async def test_many_chunks_are_areas_and_few_rows(make_run: Maker) -> None:
    """The picture and the table do not grow with the job, and a chunk in trouble is in the table."""
    run = await make_run(3000)
    for number, record in run.ledger.records.items():
        outcome = RunState.FAILED if number == 2990 else RunState.COMPLETED
        finish(record, [attempt(number / 10, number / 10 + 1, outcome)])
    picture = draw_timeline(run, 301)
    ElementTree.fromstring(picture)  # noqa: S314  our own
    assert "<polygon" in picture
    assert len(picture) < 40_000
    rows = chunk_table(run.ledger, adapter="local", now=301)
    assert len(rows) == MOST_TABLE_ROWS
    assert rows[0]["chunk"] == 0
    assert (rows[-1]["chunk"], rows[-1]["state"]) == (2990, "to be tried again")
    assert len(json.dumps(rows)) < 150_000


def test_progress_has_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reused frames don't count for the rate; the numbers travel as texts, and are read back from them."""
    now = [100.0]
    monkeypatch.setattr("tasks.run.progress.time.monotonic", lambda: now[0])
    tracker = ProgressTracker(300, 10)
    assert Progress.from_metadata(tracker.now.to_metadata()) == tracker.now
    tracker.enter(Phase.RENDERING)
    tracker.add(60, reused=True)
    now[0] += 20
    assert describe(tracker.now) == "rendering: 60 of 300 frames, 1 of 10 chunks"
    tracker.add(40)
    assert describe(tracker.now) == "rendering: 100 of 300 frames, 2 of 10 chunks, 2 frames/s, 1:40 min left"
    tracker.note(waiting_chunks=1, limit="l", is_paused=True, overdue_seconds=1.0)
    assert describe(tracker.now).split("; ")[1:] == [
        "a chunk waits for a slot of the limit l", "paused", "takes longer than the 1.0 s that it should",
    ]  # fmt: skip
    assert Progress.from_metadata(tracker.now.to_metadata()) == tracker.now
    tracker.note(waiting_chunks=0, limit="", is_paused=False, overdue_seconds=None)
    tracker.enter(Phase.STITCHING)
    assert describe(tracker.now) == "stitching: 100 of 300 frames, 2 of 10 chunks"
    assert [phase[0] for phase in tracker.phases(25)] == [Phase.RENDERING, Phase.STITCHING]


@pytest.mark.parametrize("metadata", [None, {}, {"phase": "resting", "frames": "1"}, {"phase": "rendering"}])
def test_what_is_no_progress_is_none(metadata: dict[str, str] | None) -> None:
    """Metadata of another version or program are not read as progress."""
    assert Progress.from_metadata(metadata) is None


async def test_a_finished_run_is_explained_as_finished(make_run: Maker) -> None:
    """The explanation says how long a finished run took in all, and a running run so far."""
    run = await make_run(1)
    assert explain(run, 14, is_over=True)[0] == "14.0 s in all."
    assert explain(run, 14, is_over=False)[0] == "14.0 s so far."


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (185, "3:05 min"), (7385, "2:03:05 h")])
def test_durations(seconds: float, text: str) -> None:
    """A duration is written in seconds, minutes or hours, as people write it."""
    assert duration(seconds) == text


async def test_the_gpus_of_attempts_are_shown(make_run: Maker) -> None:
    """Waiting for GPUs is waiting; bars name their GPUs where there is room, and each GPU has a line of its own."""
    run = await make_run(3)
    for number, (gpus, node) in enumerate([(("0",), "a"), (("0", "<1>"), "b"), (("0",), "a")]):
        outcome = RunState.FAILED if number == 2 else RunState.COMPLETED
        times = attempt(0, 6, outcome, worker=WorkerTimings(wait_ms=2000, render_ms=4000))
        times.gpus, times.rendered_by = gpus, node
        finish(run.ledger.records[number], [times])
    assert seen(run.ledger.records[0], 6) == [(Kind.QUEUED, 0, 2), (Kind.RENDERING, 2, 6)]
    picture = ElementTree.fromstring(draw_timeline(run, 6))  # noqa: S314  our own picture
    labels = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text") if "GPU" in (text.text or "")]
    assert labels == ["a GPU 0", "b GPU 0, <1>", "a GPU 0"]
    assert [line for line in explain(run, 6, is_over=True) if "GPU" in line] == [
        "GPU 0 of a: 8.0 s of rendering in 2 attempts, 1 of which failed.",
        "GPU 0 of b: 4.0 s of rendering in 1 attempts.",
        "GPU <1> of b: 4.0 s of rendering in 1 attempts.",
    ]


async def test_the_machines_of_attempts_are_shown(make_run: Maker) -> None:
    """Where several machines render, bars and table name them, and each has a line; of one alone nothing is said."""
    run = await make_run(3)
    for number, node in enumerate(("a", "b", "a")):
        times = attempt(0, 6, RunState.FAILED if number == 2 else RunState.COMPLETED)
        times.rendered_by = node
        finish(run.ledger.records[number], [times])
    assert [row["machine"] for row in chunk_table(run.ledger, adapter="farm", now=6)] == ["a", "b", "a"]
    assert draw_timeline(run, 6).count(">a</text>") == 2
    assert explain(run, 6, is_over=True)[2:4] == [
        "1 attempts failed, and took 6.0 s.",
        "a: 12.0 s of rendering in 2 attempts, 1 of which failed.",
    ]
    for record in run.ledger.records.values():
        record.times[0].rendered_by = "a"
    assert ">a</text>" not in draw_timeline(run, 6)
    assert not any(line.startswith("a: ") for line in explain(run, 6, is_over=True))
