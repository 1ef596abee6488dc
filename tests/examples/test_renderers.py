"""The examples of renderers, by the real programs, from the scene to the video."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.command import helios_job, here
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")
EXAMPLES = Path(__file__).parents[2] / "examples"


def needs(program: str, package: str) -> None:
    """Skip where a program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on PATH ({package})")


def plan(folder: Path, *words: str | int) -> dict[str, object]:
    """Write the document of a scene."""
    done = helios_job("plan", *words, "-o", "job.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads((folder / "job.json").read_text())
    return document


def make_blender_scene(folder: Path) -> None:
    """Have Blender make the example's scene; skip where there is no Blender."""
    needs("blender", "Debian's package blender")
    make = ["blender", "--background", "--factory-startup", "--python-exit-code", "3", "--python"]
    make += [str(EXAMPLES / "blender" / "make_scene.py"), "--", str(folder / "scene.blend")]
    subprocess.run(make, check=True, capture_output=True)


def pictures(video: Path) -> list[NDArray[np.int64]]:
    """Every frame, in grey."""
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="gray").astype(np.int64) for frame in container.decode(video=0)]


@pytest.mark.slow
async def test_a_blender_scene(tmp_path: Path) -> None:
    """A scene of Blender is asked for its frames, rendered in chunks, and joined; its pictures move."""
    make_blender_scene(tmp_path)
    document = plan(tmp_path, "--with", "blender", "scene.blend", "--frames", 6, "--chunks", 2)
    _, report = await render(tmp_path, document)
    assert report.output is not None
    shown = pictures(tmp_path / "scene.mp4")
    assert len(shown) == 6
    assert shown[0].max() > 150
    assert shown[0].min() < 60
    assert all(np.abs(one - other).mean() > 0.2 for one, other in pairwise(shown))


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["frames/shot_####.exr", "frames/shot_%04d.png"])
async def test_a_blender_scene_as_images(tmp_path: Path, pattern: str) -> None:
    """A scene of Blender is rendered as images of the kind that the pattern names; a lost one is rendered alone."""
    make_blender_scene(tmp_path)
    words = ("--frames", 4, "--chunks", 2, "--output-pattern", pattern)
    document = plan(tmp_path, "--with", "blender", "scene.blend", *words)
    await render(tmp_path, document)
    images = sorted((tmp_path / "frames").iterdir())
    assert [image.name for image in images] == [f"shot_{number:04d}{pattern[-4:]}" for number in range(1, 5)]
    assert len(pictures(tmp_path / "scene.mp4")) == 4
    written = [image.stat().st_mtime_ns for image in images]
    images[2].unlink()
    await render(tmp_path, document)
    again = [image.stat().st_mtime_ns != before for image, before in zip(images, written, strict=True)]
    assert again == [False, False, True, False]


@pytest.mark.slow
def test_a_blender_scene_without_a_camera(tmp_path: Path) -> None:
    """A scene that has no camera gives one error, before anything is rendered."""
    needs("blender", "Debian's package blender")
    script = "import bpy; bpy.data.objects.remove(bpy.data.objects['Camera']); bpy.ops.wm.save_as_mainfile(filepath="
    make = ["blender", "--background", "--factory-startup", "--python-exit-code", "3", "--python-expr"]
    subprocess.run([*make, f"{script}{str(tmp_path / 'scene.blend')!r})"], check=True, capture_output=True)
    done = here("plan", "--with", "blender", "scene.blend", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "scene.blend can't be rendered:\n  the scene 'Scene' has no camera; add one" in done.stderr


@pytest.mark.slow
def test_a_blender_scene_of_an_odd_size(tmp_path: Path) -> None:
    """A scene of an odd size is planned as images alone, and refused as a video."""
    make_blender_scene(tmp_path)
    script = "import bpy; bpy.context.scene.render.resolution_x = 321; bpy.ops.wm.save_mainfile()"
    make = [
        "blender",
        "--background",
        str(tmp_path / "scene.blend"),
        "--python-exit-code",
        "3",
        "--python-expr",
        script,
    ]
    done = subprocess.run(make, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    words = ("plan", "--with", "blender", "scene.blend", "--output-pattern", "frames/shot_####.png")
    assert "it is 321x180 pixels; H.264 needs even numbers" in here(*words, cwd=tmp_path).stderr
    document = json.loads(here(*words, "--no-video", cwd=tmp_path).stdout)
    assert (document["metadata"]["width"], "outputFile" in document) == (321, False)


@pytest.mark.slow
async def test_a_manim_scene(tmp_path: Path) -> None:
    """A scene of Manim is cut between its animations, and its chunks are the frames of the whole."""
    needs("manim", "pip install manim, in an environment of its own")
    shutil.copy(EXAMPLES / "manim" / "scene.py", tmp_path)
    document = plan(tmp_path, "--with", "manim", "scene.py", "--size", "160x90", "--fps", 10, "--chunks", 3)
    await render(tmp_path, document)
    whole = [
        "manim",
        "render",
        "--media_dir",
        str(tmp_path / "whole"),
        "--fps",
        "10",
        "-r",
        "160,90",
        "--format",
        "mp4",
    ]
    whole += ["--disable_caching", "-o", str(tmp_path / "whole.mp4"), str(tmp_path / "scene.py"), "Chunks"]
    subprocess.run(whole, check=True, capture_output=True)
    chunked, at_once = pictures(tmp_path / "scene.mp4"), pictures(tmp_path / "whole.mp4")
    assert len(chunked) == len(at_once)
    assert all(np.abs(one - other).mean() < 2 for one, other in zip(chunked, at_once, strict=True))


@pytest.mark.slow
async def test_an_html_page(tmp_path: Path) -> None:
    """An HTML page is asked for its frames, rendered in chunks, and its chunks are the frames of the whole."""
    needs("chromium", "Debian's package chromium")
    for file in (EXAMPLES / "page").iterdir():
        shutil.copy(file, tmp_path)
    document = plan(tmp_path, "--with", "page", "chart.html", "--frames", 24, "--chunks", 3)
    assert document["inputs"] == ["chart.html", "chart.css", "leaf.svg", "data.json"]
    await render(tmp_path, document)
    program = str(Path(sys.executable).with_name("helios-page"))
    words = [program, "chart.html", "render", "0", "24", "whole.mp4", "--fps", "24", "--size", "640x360"]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    chunked, at_once = pictures(tmp_path / "chart.mp4"), pictures(tmp_path / "whole.mp4")
    assert len(chunked) == len(at_once) == 24
    assert all(np.abs(one - other).mean() < 2 for one, other in zip(chunked, at_once, strict=True))
    assert all(np.abs(one - other).max() > 20 for one, other in pairwise(chunked))


@pytest.mark.slow
async def test_an_html_page_as_images(tmp_path: Path) -> None:
    """Of an HTML page's images, a lost one is rendered alone; a page that fails in the middle says so before."""
    needs("chromium", "Debian's package chromium")
    for file in (EXAMPLES / "page").iterdir():
        shutil.copy(file, tmp_path)
    words = ("--with", "page", "chart.html", "--frames", 6, "--chunks", 2, "--output-pattern", "frames/chart_###.png")
    document = plan(tmp_path, *words)
    await render(tmp_path, document)
    images = sorted((tmp_path / "frames").iterdir())
    assert [image.name for image in images] == [f"chart_{frame:03d}.png" for frame in range(6)]
    images[4].unlink()
    _, report = await render(tmp_path, document)
    assert report.images is not None
    assert report.images.rendered == 1
    (tmp_path / "leaf.svg").unlink()
    done = helios_job("plan", "--with", "page", "chart.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "chart.html can't be rendered:\n  leaf.svg is missing, which it reads" in done.stderr
