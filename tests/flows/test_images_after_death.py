"""What becomes of the images of a command that its run did not outlive."""

from pathlib import Path

import pytest

from testbed.jobs import write_job
from tests.command import helios_job, here, start_helios_job, until
from tests.flows.test_images import begun, noted, numbers
from tests.running import leftovers

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_killed_run_keeps_the_images_of_its_command(tmp_path: Path, *, named: bool) -> None:
    """SIGKILL of the run at the seventh image of ten: the next run takes the six before, and renders the rest."""
    words = ("--misbehave", "hang", "--at", "7", "--once", str(tmp_path / "hung"))
    job = write_job(tmp_path, noted(tmp_path, *words, sizes=[10], named=named, id=f"killed {tmp_path}"))
    process = start_helios_job("run", job)
    until(lambda: (tmp_path / "hung").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    assert len(leftovers(tmp_path)) == int(named)
    done = helios_job("run", job)
    assert done.returncode == 0, done.stderr
    assert begun(tmp_path) == sorted([*range(1, 11), 7])
    assert list(numbers(tmp_path).values()) == list(range(1, 11))
    assert leftovers(tmp_path) == []
    assert "10 images (frames 1 to 10; PNG, 8 bits), 4 of them rendered now" in done.stdout
    assert "images-attempt" not in done.stderr


@pytest.mark.slow
def test_what_was_rendered_from_other_inputs_is_not_taken(tmp_path: Path) -> None:
    """After a killed run whose input has changed since, all images are rendered, and none is left lying about."""
    (tmp_path / "scene.txt").write_text("before")
    words = ("--misbehave", "hang", "--at", "7", "--once", str(tmp_path / "hung"))
    document = noted(tmp_path, *words, sizes=[10], id=f"changed {tmp_path}", inputs=["scene.txt"])
    job = write_job(tmp_path, document)
    process = start_helios_job("run", job)
    until(lambda: (tmp_path / "hung").exists() or process.poll() is not None)
    process.kill()
    process.communicate()
    (tmp_path / "scene.txt").write_text("after")
    done = here("run", job)
    assert done.returncode == 0, done.stderr
    assert begun(tmp_path) == sorted([*range(1, 11), *range(1, 8)])
    assert leftovers(tmp_path) == []
