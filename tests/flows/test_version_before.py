"""A job that the previous version began is resumed by this version, which accepts its records and its outputs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.render import render_job
from helios.models.report import JobReport
from testbed.video import read_numbers

DATA = Path(__file__).parents[1] / "data" / "version-before"
pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    """The job's folder as its run left it, with Prefect's result storage beside it."""
    folder, results = tmp_path / "job", tmp_path / "results"
    shutil.copytree(DATA / "job", folder)
    shutil.copytree(DATA / "helios-render", results / "helios-render")
    for record in results.rglob("*"):
        if record.is_file():
            record.write_text(record.read_text().replace("RESULTS", str(results)).replace("JOB", str(folder)))
    (folder / "go").touch()  # what the last two chunks wait for
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: results}):
        yield folder


async def test_its_accepted_chunks_are_reused(job: Path) -> None:
    """The two accepted chunks of four are reused, the others are rendered, and the video is whole."""
    before = (job / "c0.mp4").stat().st_mtime_ns
    report = await render_job(str(job / "job.json"))
    assert isinstance(report, JobReport)
    assert [chunk.reused for chunk in report.chunks] == [True, True, False, False]
    assert (job / "c0.mp4").stat().st_mtime_ns == before
    assert read_numbers(job / "video.mp4") == list(range(20))


async def test_its_records_get_digests_of_the_inputs(job: Path) -> None:
    """Its chunks are reused once as they are, and from then on only while their inputs are as they were then."""
    await render_job(str(job / "job.json"))
    (job / "scene.html").write_text("new")
    report = await render_job(str(job / "job.json"))
    assert isinstance(report, JobReport)
    assert [chunk.reused for chunk in report.chunks] == [False] * 4
    assert report.inputs is not None
    assert report.inputs.message == "scene.html is new: 4 of 4 chunks render again; 0 reused"
