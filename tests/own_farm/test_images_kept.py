"""Images that workers elsewhere render: kept in a cache for other jobs, and audited, as those rendered here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helios.models.audit import AuditVerdict
from helios.models.report import ReusedFrom
from testbed.cloud.aws import Aws
from testbed.cloud.own_farm import OwnFarm
from testbed.images import image_job
from testbed.video import read_numbers
from tests.flows.test_images import begun, numbers
from tests.flows.test_images_audited import audit_of
from tests.running import leftovers, render

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.slow]


@pytest.fixture(params=["farm", "aws-lambda"])
def config(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """The configuration of workers elsewhere: a farm's nodes, or Lambda's stand-in."""
    if request.param == "farm":
        farm: OwnFarm = request.getfixturevalue("farm")
        return farm.config
    amazon: Aws = request.getfixturevalue("amazon")
    return amazon.config


def job(folder: Path, *words: str, **fields: Any) -> dict[str, Any]:
    """A job of two chunks, whose commands leave notes outside of the job directory, all of which goes to workers."""
    (folder / "notes").mkdir(exist_ok=True)
    return image_job([6, 4], extra=["--notes", str(folder / "notes"), *words], **fields)


async def test_another_job_takes_the_images(tmp_path: Path, config: Mapping[str, Any]) -> None:
    """A job with other names for its images gets them from the cache; no worker renders, and its video has them all."""
    cache = str(tmp_path / "cache")
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    state, _ = await render(first, job(tmp_path, id=f"first {tmp_path}"), adapter=config, cache=cache)
    assert state.is_completed(), state.message
    assert begun(tmp_path) == list(range(1, 11))
    video = second / "video.mp4"
    wanted = job(tmp_path, output="pictures/#####.png", id=f"second {tmp_path}")
    state, report = await render(second, wanted, adapter=config, cache=cache, output_file=str(video))
    assert state.is_completed(), state.message
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 2
    assert begun(tmp_path) == list(range(1, 11))
    assert read_numbers(video) == list(range(1, 11))
    for frame in range(1, 11):
        one, other = first / "frames" / f"shot_{frame:04d}.png", second / "pictures" / f"{frame:05d}.png"
        assert one.read_bytes() == other.read_bytes()
    assert leftovers(tmp_path) == []


async def test_equal_images_pass(tmp_path: Path, config: Mapping[str, Any]) -> None:
    """A drawn chunk is rendered a second time by a worker, and passes; the accepted images stay."""
    (folder := tmp_path / "job").mkdir()
    state, report = await render(folder, job(tmp_path), adapter=config, audit=1.0)
    assert state.is_completed(), state.message
    assert [chunk.verdict for chunk in audit_of(report).chunks] == [AuditVerdict.PASSED] * 2
    assert begun(tmp_path) == sorted([*range(1, 11)] * 2)
    assert list(numbers(folder).values()) == list(range(1, 11))
    assert leftovers(folder) == []


async def test_another_picture_the_second_time(tmp_path: Path, config: Mapping[str, Any]) -> None:
    """The job fails, and names the chunk, the frame and both workers; the accepted images stay as they were."""
    (folder := tmp_path / "job").mkdir()
    words = ("--misbehave", "other-number", "--at", "8", "--after", str(tmp_path / "first"))
    state, report = await render(folder, job(tmp_path, *words), adapter=config, audit=1.0)
    assert state.is_failed()
    error, audit = str(report.error), audit_of(report)
    assert "chunk 1 (frames 7 to 10), rendered a second time, is not the same: frame 8 differs most" in error
    assert [chunk.verdict for chunk in audit.chunks] == [AuditVerdict.PASSED, AuditVerdict.DIFFERENT]
    assert audit.chunks[1].different_frames == 1
    assert list(numbers(folder).values()) == list(range(1, 11))
    assert leftovers(folder) == []
