"""Fundamentals, 2: only an output that was verified is accepted."""

from pathlib import Path

import pytest

from flows.render import render_job
from testbed.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_exit_code_0_is_not_enough(tmp_path: Path) -> None:
    """A renderer that drops a frame and exits 0 fails its chunk, and the message has both numbers of frames."""
    job = make_job((10,), extra=["--misbehave", "short"])
    state = await render_job(job, job_dir=str(tmp_path), retries=0, return_state=True)
    assert state.is_failed()
    assert "has 9 frames; expected exactly 10" in (state.message or "")
    assert not (tmp_path / "chunk 0.mp4").exists()
