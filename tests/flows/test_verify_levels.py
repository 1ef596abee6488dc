"""The level of verification is a part of what was accepted: a higher one looks again, and renders what it refuses."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import JobReport
from helios.models.verification import VerifyLevel
from helios.processes.reader import run_apart
from testbed.cloud.aws import Aws
from testbed.jobs import make_job, moving_job
from testbed.moving_pictures import Look, waves, write_pictures
from testbed.programs.moving import REPEATABLE
from testbed.video import read_numbers
from tests.flows.test_resume import executions, noted_job
from tests.flows.test_run_page import artifacts_of
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
    job = noted_job(tmp_path, id=f"levels {tmp_path}", chunks=2)
    looked: list[VerifyLevel] = []
    _watch_levels(monkeypatch, looked)
    for level in ("container", "decode", "decode", "container"):
        _, report = await render(tmp_path, job, verify=level)
        looked.append(VerifyLevel(level))
    assert set(executions(tmp_path).values()) == {1}
    low, high = VerifyLevel.CONTAINER, VerifyLevel.DECODE
    assert looked == [low] * 3 + [high] * 3 + [low] * 2 + [high] + [low] * 3
    assert levels(report) == [VerifyLevel.DECODE] * 2


def _watch_levels(monkeypatch: pytest.MonkeyPatch, looked: list[VerifyLevel]) -> None:
    async def watched(*args: Any, **kwargs: Any) -> Any:
        if "level" in kwargs:  # the rehearsal reads apart too
            looked.append(kwargs["level"])
        return await run_apart(*args, **kwargs)

    monkeypatch.setattr("tasks.candidate.run_apart", watched)


async def test_a_damaged_chunk_passes_at_the_level_that_does_not_decode(tmp_path: Path) -> None:
    """The parameter wins over the document: at `container`, damage inside a frame passes."""
    job = make_job([5, 5], extra=DAMAGED_ONCE, verify="decode")
    state, _ = await render(tmp_path, job)
    assert state.is_failed()
    (tmp_path / "tries-5").unlink()
    state, report = await render(tmp_path, job, verify="container")
    assert state.is_completed()
    assert levels(report) == [VerifyLevel.CONTAINER] * 2


def verified_job(*words: str, **fields: Any) -> dict[str, Any]:
    """A job of four chunks of 16 frames with moving pictures, which are compared."""
    return moving_job(*words, verify="pictures", **fields)


def tries(folder: Path) -> list[int]:
    """How often each chunk was rendered."""
    return [(folder / f"tries-{start}").stat().st_size for start in range(0, 64, 16)]


async def test_a_chunk_with_wrong_pictures_is_rendered_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A chunk that begins with the frame before is rendered again, and the job completes without a warning."""
    state, report = await render(tmp_path, verified_job("--fault", "early", "--times", "1", "--only", "32"))
    assert state.is_completed(), state.message
    assert tries(tmp_path) == [1, 1, 2, 1]
    assert "chunk 2 begins with the last frame of chunk 1" in caplog.text
    assert (report.warnings, report.frames) == ((), 64)
    assert levels(report) == [VerifyLevel.PICTURES] * 4
    assert report.chunks[2].command_failures == 1


async def test_wrong_pictures_fail_the_job_the_second_time(tmp_path: Path) -> None:
    """A renderer that begins every chunk at frame 0 fails the job after one more try, also when the job is resumed."""
    # No inputs are named, so that the files that are made here between the runs are none.
    job = verified_job("--fault", "restart", id=f"restart {tmp_path}", inputs=[])
    for executions_of_chunk_1 in (2, 3):
        state, report = await render(tmp_path, job, concurrency=1)
        assert state.is_failed()
        assert "shows the frames of chunk 0 (from frame 0) again" in str(report.error)
        assert report.chunks[1].state == "failed"
        assert (tmp_path / "tries-16").stat().st_size == executions_of_chunk_1
        (tmp_path / "tries-32").touch()
        (tmp_path / "tries-48").touch()
    state, report = await render(tmp_path, job, verify="decode")
    assert state.is_completed()
    assert [found.kind for found in report.warnings] == ["copy"]
    assert [chunk.error for chunk in report.chunks] == [None] * 4


@pytest.mark.parametrize("level", [pytest.param("container", marks=pytest.mark.slow), "decode"])
async def test_chunks_with_the_same_pictures_are_told_at_every_level(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, level: str
) -> None:
    """A renderer that begins every chunk at frame 0 is named before the join; with `strict` that is a failure."""
    job = moving_job("--fault", "restart", id=f"copies {tmp_path}", inputs=[])
    said = "chunks 0, 1, 2 and 3 hold the same pictures, packet by packet, for different frames (0 to 15, 16 to 31, …)"
    state, report = await render(tmp_path, job, verify=level, strict=True)
    assert state.is_failed()
    assert f"Warnings are failures here (--strict): {said}" in str(report.error)
    assert not (tmp_path / "video.mp4").exists()
    caplog.clear()
    state, report = await render(tmp_path, job, verify=level)
    assert state.is_completed()
    assert [chunk.reused for chunk in report.chunks] == [True] * 4
    assert [(found.kind, found.frame, found.other_frame) for found in report.warnings] == [("copy", 16, 0)]
    assert f"Suspicious: {said}" in caplog.text
    assert "So far, chunks " in caplog.text
    page = (await artifacts_of(report.run_id))["render-warnings"]
    assert said in page["data"]
    assert page["data"].count("data:image/jpeg;base64,") == 1


async def test_a_still_title_over_some_chunks_is_not_told(tmp_path: Path) -> None:
    """Chunks of one black picture are equal, and rightly so; a video that is nothing else is named."""
    write_pictures(tmp_path / "title.mp4", [waves(0)] * 16, Look(options=REPEATABLE))
    job = moving_job(id=f"title {tmp_path}")
    for chunk in job["chunks"][:2]:
        chunk["command"] = shlex.join(["cp", "title.mp4", chunk["outputFile"]])
    state, report = await render(tmp_path, job, verify="decode", strict=True)
    assert state.is_completed(), state.message
    assert report.warnings == ()
    for chunk in job["chunks"]:
        chunk["command"] = shlex.join(["cp", "title.mp4", chunk["outputFile"]])
    state, report = await render(tmp_path, job | {"id": f"only {tmp_path}"}, verify="decode")
    assert [found.message for found in report.warnings] == [
        "all 4 chunks hold the same still picture: is it what was to be rendered?"
    ]


async def test_a_suspicion_is_a_warning_and_strict_makes_it_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A brighter chunk is reported and logged, and the job completes; with `strict` it fails, and nothing is joined."""
    job = verified_job("--fault", "brighter", "--only", "32", id=f"strict {tmp_path}")
    state, report = await render(tmp_path, job, strict=True)
    assert state.is_failed()
    assert "Warnings are failures here (--strict): the brightness jumps between chunk 1 and chunk 2" in str(
        report.error
    )
    assert not (tmp_path / "video.mp4").exists()
    state, report = await render(tmp_path, job)
    assert state.is_completed()
    assert {(found.kind.value, found.frame, found.other_frame) for found in report.warnings} == {
        ("jump", 32, 31), ("jump", 48, 47)}  # fmt: skip
    assert "Suspicious: the brightness jumps" in caplog.text
    page = (await artifacts_of(report.run_id))["render-warnings"]
    assert page["description"] == "2 findings in the pictures"
    assert page["data"].count("data:image/jpeg;base64,") == 2
    assert "![Frames 31 and 32]" in page["data"]
    assert tries(tmp_path) == [1, 1, 1, 1]


@pytest.mark.slow  # tests/helios/worker/test_runtime.py has what they send
async def test_remote_workers_send_what_is_known_of_their_pictures(
    amazon: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart is noticed where Lambda functions render: they take the fingerprints, and no frame is decoded here."""
    looked: list[VerifyLevel] = []
    _watch_levels(monkeypatch, looked)
    state, report = await render(tmp_path, verified_job("--fault", "restart"), adapter=amazon.config)
    assert state.is_failed()
    assert "shows the frames of chunk 0 (from frame 0) again" in str(report.error)
    assert set(looked) == {VerifyLevel.CONTAINER}
    state, report = await render(tmp_path, moving_job("--fault", "restart"), adapter=amazon.config, verify="decode")
    assert [found.kind for found in report.warnings] == ["copy"]
    looked.clear()
    state, report = await render(tmp_path, verified_job(), adapter=amazon.config)
    assert state.is_completed(), state.message
    assert report.warnings == ()
    assert levels(report) == [VerifyLevel.PICTURES] * 4
    assert looked == [VerifyLevel.CONTAINER] * 4
