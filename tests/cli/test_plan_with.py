"""`helios-job plan --with`: renderers by name, on real programs."""

import json
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from helios.job.source import load_job_spec
from helios.media.verify import verify_output
from testbed.encodes import Film, write_film
from testbed.video import Clip, read_numbers, write_clip
from tests.command import here

DESCRIBE = """\
import json, sys
if "describe" in sys.argv:
    print("loading")
    print("helios-scene:", json.dumps(ANSWER))
"""
COMMAND = ("--command", "x {output}", "--output-pattern", "{index}.mp4", "--chunks", 2)
ANSWER = {"frames": 30, "start_frame": 10, "fps": "30000/1001", "width": 64, "height": 48, "format": "drawn"}


def script(folder: Path, **changes: object) -> Path:
    """A program that answers with these facts about its scene."""
    path = folder / "film.py"
    path.write_text(DESCRIBE.replace("ANSWER", repr({**ANSWER, **changes})))
    return path


def test_a_script_says_its_frames(tmp_path: Path) -> None:
    """A Python program is asked for frames, rate and size, and the document renders what it says."""
    script(tmp_path, warnings=["it is slow"])
    done = here("plan", "--with", "python", "film.py", "--chunk-frames", 20, "-o", "job.json", cwd=tmp_path)
    assert done.stderr == "film.py: 30 frames from 10, 30000/1001 fps, 64×48, drawn\nWarning: it is slow\n"
    document = json.loads((tmp_path / "job.json").read_text())
    assert document["metadata"] | {"duration": 1} == {
        "totalFrames": 30, "fps": "30000/1001", "width": 64, "height": 48, "duration": 1,
    }  # fmt: skip
    assert [chunk["command"] for chunk in document["chunks"]] == [
        "python3 film.py render 10 20 film-0000.mp4",
        "python3 film.py render 30 10 film-0001.mp4",
    ]
    assert (document["outputFile"], "inputs" in document) == ("film.mp4", False)


def test_cuts_of_a_scene_of_parts(tmp_path: Path) -> None:
    """A scene that has parts is cut between them alone, and a person's number of chunks is the most."""
    script(tmp_path, parts=[12, 8, 10], start_frame=0)
    planned = json.loads(here("plan", "--with", "python", "film.py", "--chunks", 2, cwd=tmp_path).stdout)
    assert [chunk["frameCount"] for chunk in planned["chunks"]] == [12, 18]


def test_what_a_person_sets_wins(tmp_path: Path) -> None:
    """An option that a person sets stands before the scene's value, and that before the preset's."""
    script(tmp_path, values={"args": "--from-scene"})
    for words, said in (((), "film.py --from-scene render"), (("--set", "args=--mine"), "film.py --mine render")):
        planned = json.loads(here("plan", "--with", "python", "film.py", *words, cwd=tmp_path).stdout)
        assert said in planned["chunks"][0]["command"]


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        ((), "raise SystemExit('no such palette')", "film.py could not be asked for its frames: python3 exited with"),
        ((), "print('hello')", "python3 printed no line that begins with 'helios-scene:' about film.py"),
        ((), "print('helios-scene: {')", "What python3 says about film.py is no JSON"),
        ((), "print('helios-scene: {\"frames\": 0}')", "What python3 says about film.py: frames: 0; expected"),
        ((), "print('helios-scene: {\"frames\": 3}')", "Give --fps and --size."),
        (
            (),
            'print(\'helios-scene: {"problems": ["no camera", "no light"]}\')',
            "film.py can't be rendered:\n  no camera\n  no light",
        ),
        (("--set", "size=3"), "", "--set size=3: expected NAME=VALUE of an option of python: args"),
        (("--set", "args"), "", "--set args: expected NAME=VALUE"),
        (("-o", "elsewhere/job.json"), "", "lies outside of the document's folder"),
    ],
)
def test_scenes_that_are_refused(tmp_path: Path, words: tuple[str, ...], text: str, said: str) -> None:
    """A scene that can't be asked, or says that it can't be rendered, gives one clear error, and no document."""
    (tmp_path / "film.py").write_text(text)
    done = here("plan", "--with", "python", "film.py", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_words_that_belong_to_a_renderer(tmp_path: Path) -> None:
    """A scene without a renderer, a renderer without a scene, a scene that is missing: each is refused."""
    script(tmp_path)
    for words, said in (
        (("film.py",), "Name the renderer of film.py (--with)."),
        (("--with", "python"), "Name the file that python is to render."),
        (("--with", "python", "gone.py"), "gone.py is not a file; expected the scene to render"),
        (("--set", "a=b"), "--set is for options of a renderer"),
    ):
        done = here("plan", *words, "--chunks", 1, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_missing_program(tmp_path: Path) -> None:
    """Where a renderer's program is missing, the error says what to install."""
    (tmp_path / "scene.blend").write_bytes(b"BLENDER")
    done = here("plan", "--with", "blender", "scene.blend", cwd=tmp_path, env={"PATH": "/nowhere"})
    assert done.returncode == 2
    assert "blender is not there, which is to say what frames scene.blend has; install Blender" in done.stderr


def test_a_node_program(tmp_path: Path) -> None:
    """A program for Node.js is asked as one for Python is."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    (tmp_path / "film.js").write_text(f"console.log('helios-scene: ' + JSON.stringify({json.dumps(ANSWER)}));")
    planned = json.loads(here("plan", "--with", "node", "film.js", "--chunks", 3, cwd=tmp_path).stdout)
    assert planned["chunks"][0]["command"] == "node film.js render 10 10 film-0000.mp4"


def test_ffmpeg_renders_a_video_frame_by_frame(tmp_path: Path) -> None:
    """The preset of ffmpeg counts a video's frames itself, and its chunks have each frame once."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg program is not installed (Debian's package ffmpeg)")
    write_clip(tmp_path / "clip.mp4", Clip(), start=0, count=50)
    done = here("plan", "--with", "ffmpeg", "clip.mp4", "--chunks", 3, "-o", "job.json", cwd=tmp_path)
    assert done.stderr == "clip.mp4: 50 frames, 30 fps, 64×64, h264\n"
    numbers = []
    for chunk in load_job_spec(str(tmp_path / "job.json")).chunks:
        subprocess.run(chunk.argv, cwd=tmp_path, check=True, capture_output=True)
        verify_output(tmp_path / chunk.output_file, frames=chunk.frame_count, fps=Fraction(30), width=64, height=64)
        numbers += read_numbers(tmp_path / chunk.output_file)
    assert numbers == list(range(50))


def test_a_source_has_the_frames(tmp_path: Path) -> None:
    """--source reads frames, rate and size from a video, for any command; what a person says wins."""
    write_clip(tmp_path / "clip.mkv", Clip(fps=Fraction(30000, 1001)), start=0, count=50)
    words = ("plan", "--source", "clip.mkv", *COMMAND)
    done = here(*words, cwd=tmp_path)
    assert done.stderr == "clip.mkv: 50 frames, 30000/1001 fps, 64×64, h264\n"
    metadata = json.loads(done.stdout)["metadata"]
    assert [metadata[name] for name in ("totalFrames", "fps", "width", "height")] == [50, "30000/1001", 64, 64]
    said = json.loads(here(*words, "--frames", 20, "--size", "32x32", cwd=tmp_path).stdout)["metadata"]
    assert [said[name] for name in ("totalFrames", "fps", "width", "height")] == [20, "30000/1001", 32, 32]


def test_a_source_without_a_constant_rate(tmp_path: Path) -> None:
    """A video whose frames have no constant rate says so, and asks for one."""
    write_film(tmp_path / "vfr.mkv", Film(frames=20, steps=[3000, 6000, 4500, 3000] * 5))
    words = ("plan", "--source", "vfr.mkv", *COMMAND)
    done = here(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "vfr.mkv has 20 frames at no constant rate" in done.stderr
    assert "Give --fps" in done.stderr
    assert json.loads(here(*words, "--fps", 24, cwd=tmp_path).stdout)["metadata"]["totalFrames"] == 20


@pytest.mark.parametrize("text", [b"", b"no video at all", None])
def test_a_bad_source(tmp_path: Path, text: bytes | None) -> None:
    """A source that is missing, empty or no video is refused with its name."""
    if text is not None:
        (tmp_path / "clip.mp4").write_bytes(text)
    words = ("plan", "--source", "clip.mp4", *COMMAND)
    done = here(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "clip.mp4" in done.stderr
    assert "expected a video" in done.stderr


def test_no_video(tmp_path: Path) -> None:
    """Without a video, images alone are planned; what keeps a scene from being a video is no reason then."""
    script(tmp_path, width=63, video_problems=["it is 63x48 pixels; H.264 needs even numbers"])
    images = ("plan", "--with", "python", "film.py", "--output-pattern", "film_####.png")
    done = here(*images, "--no-video", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert ("outputFile" in document, document["metadata"]["width"]) == (False, 63)
    for words in (images, ("plan", "--with", "python", "film.py", "--no-video")):
        done = here(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "film.py can't be rendered:\n  it is 63x48 pixels; H.264 needs even numbers" in done.stderr


LISTED = """\
Bundling code
The following compositions are available:

Film     30       640x360         60 (2.00 sec)
Trailer  29.97    1280x720       300 (10.01 sec)
Poster   30       640x360        Still
"""


def test_a_composition_of_remotion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Remotion lists of a composition is planned; among several, a person is told to name one."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "index.tsx").touch()
    npx = tmp_path / "bin" / "npx"
    npx.parent.mkdir()
    npx.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    npx.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npx.parent}:{os.environ['PATH']}")
    words = ("plan", "--with", "remotion", "src/index.tsx", "--chunks", 2)
    done = here(*words, cwd=tmp_path)
    assert "it has the compositions Film, Trailer; name one: --set composition=ID" in done.stderr
    document = json.loads(here(*words, "--set", "composition=Trailer", cwd=tmp_path).stdout)
    assert (document["metadata"]["fps"], document["inputs"]) == ("2997/100", ["src/index.tsx", "src/**"])
    assert document["chunks"][1]["command"].startswith(
        "npx --no-install remotion render src/index.tsx Trailer index-0001.mp4 --frames=150-299 --width=1280 "
    )
