"""`helios-job watch` says in a line why a run can't be watched."""

from pathlib import Path

import pytest

from testbed.jobs import make_job
from tests.command import helios_job
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_a_run_that_has_no_playlist(tmp_path: Path) -> None:
    """A run that was not to be watched, and a run that there is not, are refused in a line."""
    _, report = await render(tmp_path, make_job((3,)), preview=False)
    done = helios_job("watch", report.run_id, "--no-browser")
    assert done.returncode == 2
    assert "has no playlist" in done.stderr
    assert "Traceback" not in done.stderr
    done = helios_job("watch", "no-such-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-run" in done.stderr


async def test_a_folder_that_is_elsewhere(tmp_path: Path) -> None:
    """Where the job directory is not there, the message names it, and its machine."""
    _, report = await render(tmp_path, make_job((3,)))
    (tmp_path / ".helios").rename(tmp_path / "gone")
    done = helios_job("watch", report.run_id, "--no-browser")
    assert done.returncode == 2
    assert str(tmp_path / ".helios" / "watch") in done.stderr
    assert "watch it there" in done.stderr
