"""Templates of Open Job Description through the flow, on this machine."""

import json
import os
import sys
from pathlib import Path

import av
import pytest

from testbed.templates import example
from tests.command import here
from tests.running import leftovers

pytestmark = pytest.mark.usefixtures("prefect_api")
IMAGES = "{{Param.OutputDir}}/bar_####.png"


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates' `python` is this one, which has PyAV."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def write_bar(folder: Path) -> Path:
    """The document of the example with images: six of them in two chunks."""
    words = ("--fps", "{{Param.FPS}}", "--size", "320x180", "--output-pattern", IMAGES, "--chunk-frames", 3)
    job = folder / "job.json"
    done = here("openjd", example("bar.yaml", folder), *words, "-p", "Frames=1-6", "--id", "bar", "-o", job)
    assert done.returncode == 0, done.stderr
    return job


@pytest.mark.slow
def test_images_and_the_step_after_them(tmp_path: Path) -> None:
    """Tasks render images, and the step after them writes the video, which is verified; one lost image is rendered."""
    job = write_bar(tmp_path)
    done = here("run", job, "--json", "--retries", 0)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["output"], report["frames"]) == (str(tmp_path / "output" / "bar.mp4"), 6)
    assert sorted(path.name for path in (tmp_path / "output").glob("*.png")) == [f"bar_000{n}.png" for n in range(1, 7)]
    assert leftovers(tmp_path) == []
    (tmp_path / "output" / "bar_0005.png").unlink()
    again = json.loads(here("run", job, "--json").stdout)
    assert (again["images"]["count"], again["images"]["rendered"]) == (6, 1)


def test_chunks_become_a_video(tmp_path: Path) -> None:
    """Tasks that render ranges into videos are joined; a changed parameter renders everything again."""
    words = ("--fps", 24, "--size", "320x180", "--output-pattern", "{{Param.OutputDir}}/part-{{Task.Param.Frame}}.mp4")
    template, job, video = example("chunks.yaml", tmp_path), tmp_path / "job.json", tmp_path / "bar.mp4"
    assert here("openjd", template, *words, "-p", "Frames=3-10", "-p", "ChunkSize=4", "-o", job).returncode == 0
    done = here("run", job, "--output", video, "--json", "--retries", 0)
    assert done.returncode == 0, done.stderr
    with av.open(str(video)) as opened:
        assert len(list(opened.decode(video=0))) == 8
    assert [chunk["reused"] for chunk in json.loads(done.stdout)["chunks"]] == [False, False]
    assert all(chunk["reused"] for chunk in json.loads(here("run", job, "--output", video, "--json").stdout)["chunks"])


def test_a_task_that_fails(tmp_path: Path) -> None:
    """The job's error names the step, the frame and the task's exit code."""
    template = example("bar.yaml", tmp_path)
    template.write_text(template.read_text().replace("frame = int(sys.argv[1])", "sys.exit(9)"))
    words = ("--fps", 24, "--size", "320x180", "--output-pattern", IMAGES, "-p", "Frames=1-2", "--step", "Render")
    assert here("openjd", template, *words, "-o", tmp_path / "job.json").returncode == 0
    done = here("run", tmp_path / "job.json", "--retries", 0, "--concurrency", 1)
    assert done.returncode == 1
    assert "step 'Render' with Frame = 1 failed with code 9" in done.stderr
