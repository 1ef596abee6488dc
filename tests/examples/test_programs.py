"""Programs of one's own as renderers: asked for their frames, and rendered, by the real interpreters."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from testbed.video import read_numbers
from tests.command import helios_job, here
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")
IN_PYTHON = """\
import json, sys
from pathlib import Path
from testbed.video import Clip, write_clip

if sys.argv[-1] == "describe":
    print("helios-scene:", json.dumps({"frames": 20, "start_frame": 3, "fps": 30, "width": 64, "height": 64}))
else:
    _, start, count, output = sys.argv[1:]
    write_clip(Path(output), Clip(), start=int(start), count=int(count))
"""
IN_NODE = """\
const fs = require("node:fs");
const path = require("node:path");

const [act, start, count, output] = process.argv.slice(2);
if (act === "describe") {
  console.log("helios-scene: " + JSON.stringify({ frames: 20, fps: "30", width: 64, height: 64 }));
} else {
  fs.mkdirSync(path.dirname(output), { recursive: true });
  for (let frame = Number(start); frame < Number(start) + Number(count); frame++) {
    const head = Buffer.alloc(54);
    head.write("BM");
    [[2, 54 + 64 * 64 * 3], [10, 54], [14, 40], [18, 64], [22, 64], [34, 64 * 64 * 3]].forEach(
      ([at, value]) => head.writeUInt32LE(value, at),
    );
    head.writeUInt16LE(1, 26);
    head.writeUInt16LE(24, 28);
    const pixels = Buffer.alloc(64 * 64 * 3);
    for (let y = 0; y < 64; y++)
      for (let x = 0; x < 64; x++) {
        const bit = Math.floor((63 - y) / 16) * 4 + Math.floor(x / 16);
        pixels.fill((frame >> bit) & 1 ? 255 : 0, (y * 64 + x) * 3, (y * 64 + x) * 3 + 3);
      }
    const name = output.replace(/#+/, (field) => String(frame).padStart(field.length, "0"));
    fs.writeFileSync(name, Buffer.concat([head, pixels]));
  }
}
"""


async def test_a_program_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python program that says its frames is rendered in chunks, to one exact video."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "film.py").write_text(IN_PYTHON)
    done = helios_job("plan", "--with", "python", "film.py", "--chunks", 3, "-o", "job.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    _, report = await render(tmp_path, json.loads((tmp_path / "job.json").read_text()))
    assert report.output is not None
    assert read_numbers(tmp_path / "film.mp4") == list(range(3, 23))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js (Debian's package nodejs)")
@pytest.mark.slow
async def test_a_program_for_node(tmp_path: Path) -> None:
    """A program for Node.js that says its frames writes images in chunks, of which a lost one is rendered alone."""
    (tmp_path / "film.js").write_text(IN_NODE)
    words = ("--chunks", 3, "--output-pattern", "frames/film_####.bmp", "-o", "job.json")
    done = helios_job("plan", "--with", "node", "film.js", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "job.json").read_text())
    _, report = await render(tmp_path, document)
    assert report.images is not None
    assert read_numbers(tmp_path / "film.mp4") == list(range(20))
    (tmp_path / "frames" / "film_0009.bmp").unlink()
    _, report = await render(tmp_path, document)
    assert report.images is not None
    assert report.images.rendered == 1


@pytest.mark.parametrize(
    ("renderer", "file", "text", "words"),
    [
        ("python", "film.py", "raise ValueError('no font called Foo')", "ValueError: no font called Foo"),
        pytest.param(
            "node", "film.js", "throw new TypeError('no font called Foo')", "TypeError: no font called Foo",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js"),
        ),
    ],
)  # fmt: skip
def test_a_program_that_fails_when_it_is_asked(tmp_path: Path, renderer: str, file: str, text: str, words: str) -> None:
    """What a program says when it can't be asked is in the error."""
    (tmp_path / file).write_text(text)
    done = here("plan", "--with", renderer, file, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file} could not be asked for its frames" in done.stderr
    assert words in done.stderr
