"""The level of verification is a part of what was accepted: a higher one looks again, and renders what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from helios.media.verify import verify_output
from helios.models.report import JobReport
from helios.models.verification import VerifyLevel
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.flows.test_resume import executions, noted_job
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")

DAMAGED_ONCE = ("--misbehave", "damaged-times:1", "--only", "5")


def levels(report: JobReport) -> list[VerifyLevel | None]:
    """The level at which each chunk was verified."""
    return [chunk.verified for chunk in report.chunks]


async def test_a_higher_level_verifies_again_and_renders_only_what_it_refuses(tmp_path: Path) -> None:
    """What was accepted at `container` is decoded when `decode` is asked for; the damaged chunk alone is rendered."""
    job = noted_job(tmp_path, *DAMAGED_ONCE, id=f"levels {tmp_path}", verify="container")
    _, report = await render(tmp_path, job)
    assert report.state == "completed"
    assert levels(report) == [VerifyLevel.CONTAINER] * 4
    _, report = await render(tmp_path, job, verify="decode")
    assert executions(tmp_path) == {0: 1, 5: 2, 10: 1, 15: 1}
    assert [chunk.reused for chunk in report.chunks] == [True, False, True, True]
    assert levels(report) == [VerifyLevel.DECODE] * 4
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))


async def test_a_level_is_recorded_once_and_never_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accepted output is looked at once for each level, and keeps its level when a lower one is asked for."""
    job = noted_job(tmp_path, id=f"levels {tmp_path}")
    looked: list[VerifyLevel] = []
    _watch_levels(monkeypatch, looked)
    for level in ("container", "decode", "decode", "container"):
        _, report = await render(tmp_path, job, verify=level)
        looked.append(VerifyLevel(level))
    assert set(executions(tmp_path).values()) == {1}
    low, high = VerifyLevel.CONTAINER, VerifyLevel.DECODE
    assert looked == [low] * 5 + [high] * 5 + [low] * 4 + [high] + [low] * 5
    assert levels(report) == [VerifyLevel.DECODE] * 4


def _watch_levels(monkeypatch: pytest.MonkeyPatch, looked: list[VerifyLevel]) -> None:
    def watched(*args: Any, level: VerifyLevel, **kwargs: Any) -> Any:
        looked.append(level)
        return verify_output(*args, level=level, **kwargs)

    monkeypatch.setattr("tasks.chunk.verify_output", watched)


async def test_a_damaged_chunk_passes_at_the_level_that_does_not_decode(tmp_path: Path) -> None:
    """The parameter wins over the document: at `container`, damage inside a frame passes."""
    job = make_job([5, 5], extra=DAMAGED_ONCE, verify="decode")
    state, _ = await render(tmp_path, job)
    assert state.is_failed()
    (tmp_path / "tries-5").unlink()
    state, report = await render(tmp_path, job, verify="container")
    assert state.is_completed()
    assert levels(report) == [VerifyLevel.CONTAINER] * 2
