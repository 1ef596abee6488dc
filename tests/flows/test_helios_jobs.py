"""Job documents that the Helios renderer emitted, rendered as they stand by a stand-in for its program."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from flows.render import render_job
from helios.errors import SpecError
from helios.job.source import load_job_spec
from helios.models.report import JobReport
from tasks.request.request import RenderRequest
from testbed.prefect_home import SHARED
from testbed.video import read_numbers

pytestmark = pytest.mark.usefixtures("prefect_api")
ROOT = Path(__file__).parents[2]


async def test_a_document_beside_its_video_s_folder(tmp_path: Path) -> None:
    """A document whose paths lead above its folder is rendered in a job directory above both, and refused without."""
    program = tmp_path / "bin" / "helios"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {ROOT}/testbed/programs/helios.py "$@"\n')
    program.chmod(0o755)
    emitted = (ROOT / "tests/helios_jobs/numbered.json").read_text()
    (tmp_path / "jobs").mkdir()
    document = tmp_path / "jobs/j.json"
    document.write_text(
        emitted.replace("temp_", "../renders/temp_").replace("merge job.mp4", "merge ../renders/job.mp4")
    )
    with pytest.raises(SpecError, match=re.escape(f"(--job-dir {tmp_path})")):
        load_job_spec(str(document))
    adapter = {"type": "local", "env": {"PATH": f"{program.parent}:{os.environ['PATH']}", SHARED: os.environ[SHARED]}}
    for output_file in (None, "stitched.mp4"):
        report = await render_job(str(document), adapter=adapter, output_file=output_file, job_dir=str(tmp_path))
        assert isinstance(report, JobReport)
    assert read_numbers(tmp_path / "renders/job.mp4") == read_numbers(tmp_path / "stitched.mp4") == list(range(120))
    assert os.listdir(tmp_path / "jobs") == ["j.json"]
    (tmp_path / "jobs/j.json").write_text(emitted.replace("temp_", "../../temp_"))
    with pytest.raises(SpecError, match="not above it"):
        RenderRequest(str(document), job_dir=str(tmp_path)).check()


# The test above renders "numbered" too, and tests/flows/test_render.py chunks like those of the two others.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["start-frame", "numbered", "seven-chunks"])
async def test_an_emitted_document(tmp_path: Path, name: str) -> None:
    """The document's own merge command makes its video; the chunks stitched by us have the same frames."""
    program = tmp_path / "bin" / "helios"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {ROOT}/testbed/programs/helios.py "$@"\n')
    program.chmod(0o755)
    source = ROOT / "tests" / "helios_jobs" / f"{name}.json"
    (tmp_path / "job.json").write_bytes(source.read_bytes())
    adapter = {"type": "local", "env": {"PATH": f"{program.parent}:{os.environ['PATH']}", SHARED: os.environ[SHARED]}}
    job = load_job_spec(str(source))
    first = job.ordered_chunks[0].start_frame
    merged = tmp_path / (job.merge_command or "").split()[2]
    for output_file in (None, "stitched.mp4"):
        report = await render_job(str(tmp_path / "job.json"), adapter=adapter, output_file=output_file)
        assert isinstance(report, JobReport)
        assert report.frames == 120
    assert read_numbers(merged) == list(range(first, first + 120))
    assert read_numbers(tmp_path / "stitched.mp4") == list(range(first, first + 120))
