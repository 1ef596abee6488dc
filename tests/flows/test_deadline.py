"""A deadline chooses how many chunks run at a time, and says when it can't be met."""

from pathlib import Path

import pytest

from helios.models.explained import explain_report
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import here
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_time_enough(tmp_path: Path) -> None:
    """With an hour for a job of seconds, no more chunks run at a time than are needed to learn how long they take."""
    job = make_job([5] * 8, extra=["--misbehave", "slow:0.5"], outputFile="video.mp4")
    state, report = await render(tmp_path, job, concurrency=8, deadline="1h")
    assert state.is_completed(), state.message
    assert report.deadline is not None
    assert (report.deadline.met, report.deadline.slots, report.deadline.foreseen_seconds) == (True, 3, None)
    spans = [(one.began, one.ended or 0.0) for chunk in report.chunks for one in chunk.timeline]
    assert max(sum(began <= at < ended for began, ended in spans) for at, _ in spans) <= 3
    assert any("was met, with at most 3 chunks at a time" in line for line in explain_report(report))


async def test_too_late(tmp_path: Path) -> None:
    """A deadline that can't be met is said as soon as a chunk has told how long one takes; the video is made."""
    job = make_job([5] * 8, extra=["--misbehave", "slow:2"], outputFile="video.mp4")
    state, report = await render(tmp_path, job, concurrency=4, deadline="3s")
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(40))
    assert report.deadline is not None
    assert (report.deadline.met, report.deadline.slots) == (False, 4)
    assert report.deadline.foreseen_seconds is not None
    ends = sorted(one.ended or 0.0 for chunk in report.chunks for one in chunk.timeline)
    assert report.deadline.foreseen_seconds < ends[-1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2020-01-01T00:00", "The deadline 2020-01-01 00:00:00 "),
        ("soon", "The deadline 'soon' is no time (--deadline); expected one such as"),
    ],
)
def test_refused(tmp_path: Path, text: str, says: str) -> None:
    """A deadline in the past, and one that is no time, is refused before anything runs."""
    done = here("run", write_job(tmp_path, make_job([5])), "--deadline", text)
    assert done.returncode == 2
    assert says in done.stderr


def dear_and_cheap() -> list[dict[str, object]]:
    """Two places on this machine of one chunk at a time; the preferred one is dear."""
    return [
        {"adapter": "local", "name": "dear", "concurrency": 1, "cost_per_hour": 9},
        {"adapter": "local", "name": "cheap", "concurrency": 1, "cost_per_hour": 1},
    ]


async def test_a_far_deadline_needs_the_cheap_place_alone(tmp_path: Path) -> None:
    """The dear place gets nothing, though it comes first in the list; the explanation says so."""
    job = make_job([5] * 6, extra=["--misbehave", "slow:0.3"], outputFile="video.mp4")
    state, report = await render(tmp_path, job, adapter=dear_and_cheap(), concurrency=None, deadline="1h")
    assert state.is_completed(), state.message
    assert {one.place for chunk in report.chunks for one in chunk.timeline} == {"cheap"}
    assert report.deadline is not None
    assert [(span.name, span.slots, span.closed_seconds) for span in report.deadline.places] == [("cheap", 1, None)]
    lines = explain_report(report)
    assert any("For the deadline, cheap got chunks from" in line for line in lines)
    assert "It did not need dear." in lines


async def test_a_near_deadline_needs_both_places(tmp_path: Path) -> None:
    """The dear place is opened when the cheap one alone is known to be too slow, and not before."""
    job = make_job([5] * 12, extra=["--misbehave", "slow:1"], outputFile="video.mp4")
    state, report = await render(tmp_path, job, adapter=dear_and_cheap(), concurrency=None, deadline="14s")
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(60))
    assert {one.place for chunk in report.chunks for one in chunk.timeline} == {"cheap", "dear"}
    assert report.deadline is not None
    cheap, dear = report.deadline.places[:2]
    assert (cheap.name, dear.name) == ("cheap", "dear")
    assert cheap.opened_seconds < dear.opened_seconds
    assert any(line.startswith("For the deadline, dear got chunks from") for line in explain_report(report))
