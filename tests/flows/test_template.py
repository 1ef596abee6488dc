"""A job whose chunks are cut while it is rendered, by what the chunks before took."""

import json
from pathlib import Path
from typing import Any

import pytest

from helios.models.explained import explain_report
from helios.models.report import JobReport, RunState
from testbed.cloud.aws import Aws
from testbed.jobs import template_job, write_job
from testbed.video import read_numbers
from tests.command import helios_job, start_helios_job, until
from tests.running import leftovers, render, task_runs

pytestmark = pytest.mark.usefixtures("prefect_api")

FRAMES = 120
DEARER = ("--costs", "0.005", "0.1", str(FRAMES))
"""The last frame takes twenty times as long as the first."""


def check_whole(folder: Path, report: JobReport, frames: int = FRAMES) -> None:
    """The video has each frame once, the chunks tile it, and nothing is left of attempts."""
    assert list(read_numbers(folder / "video.mp4")) == list(range(frames))
    ranges = [(chunk.cut.start_frame, chunk.cut.frame_count) for chunk in report.chunks if chunk.cut]
    assert [start for start, _ in ranges] == [0, *(start + count for start, count in ranges[:-1])]
    assert sum(ranges[-1]) == frames
    assert leftovers(folder) == []


def noted(folder: Path) -> list[tuple[int, int]]:
    """The ranges whose commands were executed, each as often as it was."""
    notes = [note.name.split("-") for note in (folder / "notes").iterdir()]
    return sorted((int(start), int(count)) for start, count, _ in notes)


def lengths(report: JobReport) -> list[int]:
    """The chunks' frames."""
    return [chunk.cut.frame_count for chunk in report.chunks if chunk.cut]


@pytest.mark.slow
async def test_chunks_are_cut_by_time(tmp_path: Path) -> None:
    """Chunks have other lengths as frames get dearer, each a task of its own, and the report says why it is so long."""
    job = template_job(FRAMES, *DEARER, lengths={"targetSeconds": 1.5})
    state, report = await render(tmp_path, job, concurrency=2)
    assert state.is_completed(), state.message
    check_whole(tmp_path, report)
    assert len(set(lengths(report))) > 2
    ids = sorted(chunk.id for chunk in report.chunks)
    assert ids == list(range(len(ids)))
    whys = {chunk.cut.why for chunk in report.chunks if chunk.cut}
    assert "first" in whys
    assert whys & {"target", "end"}  # which of them, a busy machine decides
    assert report.cutting is not None
    assert report.cutting.target_seconds == 1.5
    assert report.frames == FRAMES
    said = explain_report(report)[1:]
    assert any(
        line.startswith("Cut while it was rendered, to take 1.5 s: 2 before anything was timed") for line in said
    )
    names = {name for name in await task_runs(report, count=len(ids)) if name.startswith("chunk-")}
    assert names == {f"chunk-{number}" for number in ids}


@pytest.mark.slow  # it waits for the limit, which must be longer than a render on a busy machine
async def test_a_time_limit_cuts_in_two(tmp_path: Path) -> None:
    """A chunk that hits the time limit is cut in two, not failed; the report says so, and the video is exact."""
    job = template_job(24, "--most", "4", lengths={"targetSeconds": 100, "shortest": 2})
    state, report = await render(tmp_path, job, concurrency=1, chunk_timeout_seconds=20)
    assert state.is_completed(), state.message
    check_whole(tmp_path, report, 24)
    assert report.cutting is not None
    assert report.cutting.splits
    split = report.cutting.splits[-1]
    assert split.attempts == 1
    assert split.frame_count > 4
    parts = {chunk.id for chunk in report.chunks if chunk.cut and chunk.cut.why == "half"}
    assert set(split.parts) <= parts
    assert split.id not in {chunk.id for chunk in report.chunks}
    assert any(f"Chunk {split.id} (" in line and "hit a time limit" in line for line in explain_report(report))
    assert max(lengths(report)) <= 4
    runs = await task_runs(report, count=len(report.chunks) + len(report.cutting.splits))
    assert runs[f"chunk-{split.id}"].state_name == "Split"


async def test_a_chunk_of_the_shortest_length_fails_at_the_limit(tmp_path: Path) -> None:
    """What can't be cut any shorter fails with the time limit's own message."""
    job = template_job(4, "--most", "3", lengths={"targetSeconds": 100, "shortest": 4})
    state, report = await render(tmp_path, job, chunk_timeout_seconds=2)
    assert state.is_failed()
    assert "chunk 0 (frames 0 to 3), attempt 1:" in str(state.message)
    assert report.chunks[0].state is RunState.FAILED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"chunk": 1}, "Chunks can't be named of a job that is cut while it is rendered"),
        ({"audit": 0.1}, "can't be audited"),
    ],
)
async def test_what_can_not_be_had(tmp_path: Path, words: dict[str, Any], said: str) -> None:
    """Chunks that are not known yet can't be named or drawn: the request is refused before anything runs."""
    (tmp_path / "notes").mkdir()
    job = template_job(20, "--notes", str(tmp_path / "notes"), lengths={"targetSeconds": 1})
    path = write_job(tmp_path, job)
    options = [f"--{name}={value}" for name, value in words.items()]
    done = helios_job("run", path, *options)
    assert done.returncode != 0
    assert said in done.stderr
    assert noted(tmp_path) == []


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """After SIGKILL in the middle, the next run keeps each accepted range as it was cut, and cuts only what is left."""
    (tmp_path / "notes").mkdir()
    words = (*DEARER, "--notes", str(tmp_path / "notes"))
    job = write_job(tmp_path, template_job(FRAMES, *words, lengths={"targetSeconds": 0.8}, id=f"killed {tmp_path}"))
    process = start_helios_job("run", job, "--concurrency", "2")
    until(lambda: len(list(tmp_path.glob("chunk ?.mp4"))) >= 4 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    before = noted(tmp_path)
    there = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("chunk *.mp4") if "attempt" not in path.name}
    assert len(there) >= 4
    done = helios_job("run", job, "--concurrency", "2", "--json")
    assert done.returncode == 0, done.stderr
    report = JobReport.model_validate(json.loads(done.stdout))
    check_whole(tmp_path, report)
    reused = [chunk for chunk in report.chunks if chunk.reused]
    assert len(reused) >= 3
    assert len(reused) >= len(there) - 2  # two may have been given their names, and were not on record yet
    kept = {(chunk.cut.start_frame, chunk.cut.frame_count) for chunk in reused if chunk.cut}
    assert kept <= set(before)
    assert all(noted(tmp_path).count(one) == 1 for one in kept)
    assert {chunk.cut.why for chunk in reused if chunk.cut} == {"kept"}
    for chunk in reused:
        assert (tmp_path / f"chunk {chunk.id}.mp4").stat().st_mtime_ns == there[f"chunk {chunk.id}.mp4"]


@pytest.mark.slow
async def test_a_template_elsewhere(tmp_path: Path, amazon: Aws) -> None:
    """Workers that share no disk render chunks that are cut on the way, with hedging on; each has its own document."""
    job = template_job(FRAMES, *DEARER, lengths={"targetSeconds": 2, "shortest": 5, "cuts": [30, 60, 90]})
    state, report = await render(tmp_path, job, adapter=amazon.config, concurrency=3)
    assert state.is_completed(), state.message
    check_whole(tmp_path, report)
    assert len(report.chunks) > 4


async def test_chunk_frames(tmp_path: Path) -> None:
    """A template with chunkFrames is the job that has these chunks."""
    job = template_job(30, lengths={"chunkFrames": 12})
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert list(read_numbers(tmp_path / "video.mp4")) == list(range(30))
    assert [chunk.frames for chunk in report.chunks] == [12, 12, 6]
    assert report.cutting is None
