"""`helios-page`: pages in a real Chromium. Needs Debian's chromium."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from helios.page.browser import PROGRAMS
from helios.page.program import NO_MACHINE, main
from testbed.http_server import Answer, answering
from testbed.video import read_numbers

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="needs Chromium on PATH (Debian's package chromium)"
)
Run = Callable[..., tuple[str, str]]
NUMBERED = """
<!doctype html><style>body { margin: 0 }</style>HEAD<canvas width="64" height="64"></canvas>
<script>
  const pen = document.querySelector("canvas").getContext("2d");
  async function draw(frame, seconds) {
    await new Promise((done) => setTimeout(done, frame % 3));
    if (Math.abs(seconds - frame / 30) > 1e-9) throw new Error(`frame ${frame} at ${seconds} s`);
    for (let bit = 0; bit < 16; bit++) {
      pen.fillStyle = (frame >> bit) & 1 ? "white" : "black";
      pen.fillRect((bit % 4) * 16, Math.floor(bit / 4) * 16, 16, 16);
    }
    MORE
  }
  window.heliosScene = { frames: 40, startFrame: 5, fps: 30, width: 64, height: 64, draw };
</script>
"""
"""Shows a frame's number as `testbed.video` reads it."""
SIZE = ("--fps", "30", "--size", "64x64")


def write_page(folder: Path, more: str = "", *, head: str = "") -> None:
    """A page whose `draw` does something more, and which has more before its canvas."""
    (folder / "page.html").write_text(NUMBERED.replace("MORE", more).replace("HEAD", head))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in the test's folder; returns what it prints, and what it exits with."""

    def of_words(*words: str | int) -> tuple[str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["helios-page", "page.html", *map(str, words)])
        try:
            main()
        except SystemExit as exc:
            return capsys.readouterr().out, str(exc.code)
        return capsys.readouterr().out, ""

    return of_words


def scene_in(text: str) -> dict[str, Any]:
    """The answer of a page."""
    answer: dict[str, Any] = json.loads(text.split("helios-scene: ")[1])
    return answer


def test_frames_of_a_page(run: Run, tmp_path: Path) -> None:
    """A range of a page's frames becomes a video of exactly these frames."""
    write_page(tmp_path)
    said, wrong = run("render", 17, 12, "part.mp4", *SIZE)
    assert wrong == ""
    assert said.splitlines() == [f"frame {frame}" for frame in range(17, 29)]
    assert read_numbers(tmp_path / "part.mp4") == list(range(17, 29))


def test_a_page_says_its_frames(run: Run, tmp_path: Path) -> None:
    """A page is asked for its frames, rate, size and the files that it reads, late ones as well."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "late.png")
    write_page(tmp_path, "if (frame === 44) document.body.style.backgroundImage = 'url(late.png)'")
    assert scene_in(run("describe")[0]) == {
        "frames": 40, "start_frame": 5, "fps": "30", "width": 64, "height": 64, "format": "HTML",
        "inputs": ["page.html", "late.png"], "warnings": [],
    }  # fmt: skip


def test_images_of_a_page(run: Run, tmp_path: Path) -> None:
    """Frames become PNG images under their numbers; without the white behind the page they are transparent."""
    write_page(tmp_path, "pen.clearRect(0, 0, 64, 32)")
    assert run("render", 8, 3, "out/shot_####.png", *SIZE, "--clear")[1] == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"shot_{frame:04d}.png" for frame in (8, 9, 10)
    ]
    shown = np.asarray(Image.open(tmp_path / "out" / "shot_0009.png"))
    assert (shown[:32, :, 3] == 0).all()
    assert (shown[32:, :, 3] == 255).all()


@pytest.mark.slow
def test_css_follows_the_frames_time(run: Run, tmp_path: Path) -> None:
    """Animations of CSS and SVG are where they are at the frame's time, in whatever order frames are drawn."""
    (tmp_path / "page.html").write_text("""<!doctype html><style>
        body { margin: 0; background: white } b { position: absolute; width: 2px; height: 64px; background: black;
        animation: go 2s linear } @keyframes go { from { left: 0 } to { left: 60px } } svg { position: absolute;
        left: 0; top: 0; z-index: -1 }</style><b></b><svg width="64" height="64"><rect width="64" height="8" fill="red">
        <animate attributeName="y" from="0" to="60" dur="2s" /></rect></svg>
        <script>window.heliosScene = { frames: 60, fps: 30, width: 64, height: 64 }</script>""")
    assert run("render", 15, 1, "one.png", *SIZE)[1] == ""
    assert run("render", 0, 46, "all_##.png", *SIZE)[1] == ""
    names = ("one.png", "all_00.png", "all_15.png", "all_45.png")
    shown = [np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int) for name in names]
    frames = [15, 0, 15, 45]
    lefts = [int(one.sum(axis=2)[(frame + 15) % 64].argmin()) for one, frame in zip(shown, frames, strict=True)]
    assert lefts == frames
    is_red = [(picture[:, 62, 0] > 200) & (picture[:, 62, 1] < 50) for picture in shown]
    assert [int(rows.argmax()) for rows in is_red] == frames


@pytest.mark.slow
def test_fonts_and_images_are_there_for_the_first_frame(run: Run, tmp_path: Path) -> None:
    """Declared fonts and images are loaded before a page is asked to draw its first frame."""
    shutil.copy(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", tmp_path / "own.ttf")
    Image.effect_noise((1500, 1500), 90).save(tmp_path / "large.png")
    write_page(
        tmp_path,
        'if (!document.fonts.check("20px Own")) throw new Error("no font");'
        'if (document.images[0].naturalWidth !== 1500) throw new Error("no image");',
        head="<style>@font-face { font-family: Own; src: url(own.ttf) } img { position: absolute; top: 64px }</style>"
        '<img src="large.png">',
    )
    assert run("render", 5, 1, "one.png", *SIZE)[1] == ""
    assert set(scene_in(run("describe")[0])["inputs"]) == {"page.html", "own.ttf", "large.png"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("if (frame > 40) throw new RangeError('no planet ' + frame)", "RangeError: no planet 4"),
        ("if (frame > 40) Promise.reject(new TypeError('too late'))", "TypeError: too late (page.html:12:"),
        ("if (frame > 40) document.body.append(Object.assign(new Image(), {src: 'gone.png'}))", "gone.png is missing"),
        ("if (frame > 40) document.body.style.backgroundImage = 'url(my%20bad.png)'", "my bad.png is missing"),
    ],
)
def test_a_page_that_fails(run: Run, tmp_path: Path, more: str, words: str) -> None:
    """What a page throws, or lacks, ends the render in the page's own words, and is told when it is asked."""
    write_page(tmp_path, more)
    assert words in scene_in(run("describe")[0])["problems"][0]
    assert run("render", 38, 2, "whole.mp4", *SIZE)[1] == ""
    _, wrong = run("render", 40, 4, "part.mp4", *SIZE)
    assert wrong.startswith("helios-page: page.html: ")
    assert words in wrong


def test_a_page_that_takes_its_time(run: Run, tmp_path: Path) -> None:
    """A page may promise its scene, and finds its query in its address; what it reads elsewhere is told."""
    asked: list[str] = []

    def answer(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        asked.append(path)
        return 200, {"Access-Control-Allow-Origin": "*"}, b"3"

    with answering(answer) as url:
        (tmp_path / "page.html").write_text(f"""<script type="module">
            if (location.search !== "?title=A%20b") throw new Error(location.search);
            const frames = fetch("{url}/frames").then((answer) => answer.json());
            window.heliosScene = frames.then((frames) => ({{ frames, fps: "30000/1001", width: 64, height: 64 }}));
            </script>""")
        said, wrong = run("--query", "title=A b", "describe")
    assert wrong == ""
    scene = scene_in(said)
    assert "problems" not in scene, scene
    assert (scene["frames"], scene["fps"], asked) == (3, "30000/1001", ["/frames"])
    (warning,) = scene["warnings"]
    assert warning.startswith(f"it reads from {url.removeprefix('http://')}: each worker needs the network")


def test_a_page_without_a_scene(run: Run, tmp_path: Path) -> None:
    """A page that does not say its frames is told how; a wrong field is named."""
    (tmp_path / "page.html").write_text("<script>window.heliosScene = null</script>")
    assert "it sets no window.heliosScene" in scene_in(run("describe")[0])["problems"][0]
    (tmp_path / "page.html").write_text("<script>window.heliosScene = {frames: 3, fps: 30, width: 0}</script>")
    problem = scene_in(run("describe")[0])["problems"][0]
    assert all(field in problem for field in ("window.heliosScene of page.html", "width", "height"))


def test_what_can_not_be_rendered(run: Run, tmp_path: Path) -> None:
    """A missing page, another kind of images, and odd sizes are refused with what to do, before Chromium starts."""
    write_page(tmp_path)
    assert "Chromium writes .png, .jpg, .jpeg" in run("render", 5, 2, "shot_##.exr", *SIZE)[1]
    assert "63×64 pixels can't be encoded" in run("render", 5, 2, "part.mp4", "--fps", 30, "--size", "63x64")[1]
    (tmp_path / "page.html").unlink()
    assert "page.html is not a file in the job directory" in run("describe")[1]


def test_a_browser_that_does_not_start(run: Run, tmp_path: Path) -> None:
    """Where Chromium does not start, the exit code says that the machine has failed."""
    write_page(tmp_path)
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert run("--browser", str(broken), "describe")[1] == str(NO_MACHINE)
    assert "The browser 'gone' is not there" in run("--browser", "gone", "describe")[1]


def test_a_deep_folder_for_temporary_files(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium starts where its socket's path would be too long, as below a node's folder, and leaves nothing there."""
    write_page(tmp_path)
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", None)
    said, error = run("render", 7, 2, "video.mp4", *SIZE)
    assert error == "", said
    assert read_numbers(tmp_path / "video.mp4") == [7, 8]
    assert list(deep.iterdir()) == []
