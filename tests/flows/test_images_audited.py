"""The audit of images: a drawn chunk is rendered a second time elsewhere, and compared image by image."""

from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.schemas.objects import State

from flows.render import render_job
from helios.models.audit import AuditReport, AuditVerdict
from helios.models.report import JobReport
from testbed.images import image_job
from testbed.jobs import write_job
from tests.flows.test_images import begun, noted, numbers
from tests.running import leftovers, render

pytestmark = pytest.mark.usefixtures("prefect_api")


def audit_of(report: JobReport) -> AuditReport:
    """The audit that a report has."""
    assert report.audit is not None
    return report.audit


@pytest.mark.parametrize("suffix", [".png", ".exr"])
async def test_another_picture_the_second_time(tmp_path: Path, suffix: str) -> None:
    """The job fails, and names chunk, frame, both pictures and the workers; the accepted images stay as they were."""
    words = ("--misbehave", "other-number", "--at", "5", "--after", str(tmp_path / "first"))
    job = noted(tmp_path, *words, sizes=[3, 4], output=f"frames/shot_####{suffix}")
    state, report = await render(tmp_path, job, audit=1.0)
    assert state.is_failed()
    error, audit = str(report.error), audit_of(report)
    assert "chunk 1 (frames 4 to 7), rendered a second time, is not the same: frame 5 differs most" in error
    assert f"(expected equal frames, since this {suffix[1:]} is lossless), and 1 of 4 frames differs" in error
    assert "Rendered both times by " in error
    assert [chunk.verdict for chunk in audit.chunks] == [AuditVerdict.PASSED, AuditVerdict.DIFFERENT]
    found = audit.chunks[1]
    assert (found.frame, found.different_frames) == (5, 1)
    assert found.lowest_psnr is not None
    assert 0 < found.lowest_psnr < 30
    assert len(found.pictures) == 2
    for picture in found.pictures:
        assert picture in error
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert begun(tmp_path) == sorted([*range(1, 8)] * 2)
    assert list(numbers(tmp_path, "*").values()) == list(range(1, 8))
    assert leftovers(tmp_path) == []


async def test_equal_images_pass(tmp_path: Path) -> None:
    """Images that are the same twice pass, of a lossy kind as well; the drawn chunk alone is rendered again."""
    for suffix in (".png", ".jpg"):
        folder = tmp_path / suffix
        folder.mkdir()
        job = noted(folder, sizes=[3, 4], output=f"frames/shot_####{suffix}")
        state, report = await render(folder, job, audit=0.5, audit_seed=1)
        assert state.is_completed(), state.message
        audit = audit_of(report)
        assert audit.verdict is AuditVerdict.PASSED
        assert len(audit.chunks) == 1
        assert len(begun(folder)) == 7 + report.chunks[audit.chunks[0].chunk_id].frames  # type: ignore[operator]
        assert leftovers(folder) == []


async def test_a_second_render_that_is_not_whole(tmp_path: Path) -> None:
    """A second render that leaves an image out fails the audit, which says which."""
    words = ("--misbehave", "skip", "--at", "2", "--after", str(tmp_path / "first"))
    state, report = await render(tmp_path, noted(tmp_path, *words, sizes=[3]), audit=1.0)
    assert state.is_failed()
    assert audit_of(report).verdict is AuditVerdict.FAILED
    assert "chunk 0 (frames 1 to 3) could not be rendered a second time: " in str(report.error)
    assert "shot_0002.png" in str(report.error)
    assert list(numbers(tmp_path).values()) == [1, 2, 3]
    assert leftovers(tmp_path) == []


async def test_a_command_that_writes_in_place(tmp_path: Path) -> None:
    """Where no word of the command is the images' name, a second render would replace them: refused beforehand."""
    path = write_job(tmp_path, image_job([3], named=False))
    state: State[Any] = await cast(Any, render_job)(str(path), audit=1.0, return_state=True)
    assert state.is_failed()
    assert "can't be audited: its command does not name its output" in (state.message or "")
