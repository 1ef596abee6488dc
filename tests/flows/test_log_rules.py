"""Log rules of a job document, through the flow."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import RunState
from testbed.jobs import make_job
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


def saying(job: dict[str, Any], words: str) -> dict[str, Any]:
    """The job, whose first chunk prints words before it renders, and exits with 0."""
    chunk = job["chunks"][0]
    chunk["command"] = f"sh -c {shlex.quote(f'echo {shlex.quote(words)}; exec ' + chunk['command'])}"
    return job


async def test_a_line_that_means_failure(tmp_path: Path) -> None:
    """A chunk whose command says that it failed is not accepted, although its output is whole."""
    job = saying(make_job([4, 4], logRules={"failure": ["Error: *"]}), "Error: add-on missing")
    _, report = await render(tmp_path, job, retries=1)
    assert report.state is RunState.FAILED
    (chunk, *_) = report.chunks
    assert (chunk.command_failures, chunk.environment_failures) == (2, 0)
    assert "Error: add-on missing" in (chunk.error or "")


async def test_a_line_that_is_the_machine_s_fault(tmp_path: Path) -> None:
    """What the machine is to blame for does not use up a chunk's retries."""
    flag = tmp_path / "once"
    script = f"import pathlib,sys; f=pathlib.Path({str(flag)!r}); f.exists() or (f.touch(), print('out of memory'))"
    job = make_job([4, 4], logRules={"environment": ["*out of memory*"]})
    first = job["chunks"][0]
    first["command"] = f"sh -c {shlex.quote(shlex.join([sys.executable, '-c', script]) + '; exec ' + first['command'])}"
    _, report = await render(tmp_path, job, retries=0, environment_retries=1)
    assert report.state is RunState.COMPLETED
    assert (report.chunks[0].command_failures, report.chunks[0].environment_failures) == (0, 1)
