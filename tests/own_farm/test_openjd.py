"""Templates of Open Job Description on nodes of a farm, which have neither the template's folder nor the job's."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.cloud.own_farm import OwnFarm
from testbed.templates import small_template, write_template
from tests.command import here

IMAGE = """
import sys
import av
frame = int(sys.argv[1])
picture = av.VideoFrame({{Param.Size}}, 48, "gray")
plane = picture.planes[0]
plane.update(bytes([frame * 10]) * plane.buffer_size)
name = "{{Param.Out}}/f_%04d.png" % frame
with av.open(name, "w", format="image2", options={"update": "1"}) as image:
    stream = image.add_stream("png", 24)
    stream.width, stream.height, stream.pix_fmt = {{Param.Size}}, 48, "gray"
    for packet in [*stream.encode(picture), *stream.encode(None)]:
        image.mux(packet)
"""
DRAW = """
import sys
from pathlib import Path
import av
first, last = map(int, sys.argv[1].split("-"))
scene = Path("{{Param.Scene}}")
assert scene.read_text() == "scene" and Path("{{Session.WorkingDirectory}}") == Path.cwd() != scene.parent
with av.open("{{Param.Out}}/part-" + sys.argv[1] + ".mp4", "w") as video:
    stream = video.add_stream("h264", 24)
    stream.width, stream.height, stream.pix_fmt = {{Param.Size}}, 48, "yuv420p"
    for frame in range(first, last + 1):
        picture = av.VideoFrame({{Param.Size}}, 48, "gray")
        plane = picture.planes[0]
        plane.update(bytes([frame * 10]) * plane.buffer_size)
        video.mux(stream.encode(picture))
    video.mux(stream.encode(None))
"""


def drawing(script: str) -> dict[str, Any]:
    """The script of a step that draws, in the environment that its template makes."""
    made = 'test "$LEVEL" = dark && mkdir -p "{{Param.Out}}"'
    run = f'{made} && exec {sys.executable} "{{{{Task.File.Draw}}}}" "{{{{Task.Param.Frame}}}}"'
    return {
        "actions": {"onRun": {"command": "sh", "args": ["{{Task.File.Run}}"]}},
        "embeddedFiles": [
            {"name": "Draw", "type": "TEXT", "data": script},
            {"name": "Run", "type": "TEXT", "data": run},
        ],
    }


def rendered(farm: OwnFarm, folder: Path, template: dict[str, Any], pattern: str) -> dict[str, Any]:
    """The report of the template's job, rendered by nodes into a video."""
    template["jobEnvironments"] = [{"name": "Level", "variables": {"LEVEL": "{{Param.Mode}}"}}]
    job = folder / "job.json"
    words = ("--fps", 24, "--size", "64x48", "--output-pattern", pattern, "--chunk-frames", 3)
    assert here("openjd", write_template(folder, template), *words, "-o", job).returncode == 0
    config = ("--adapter", "farm", "--adapter-config", json.dumps(farm.config))
    done = here("run", job, "--output", folder / "video.mp4", "--json", "--retries", 0, *config)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow  # tests/flows/test_openjd.py has images, the test below nodes
@pytest.mark.usefixtures("prefect_api")
def test_images_on_nodes(farm: OwnFarm, tmp_path: Path) -> None:
    """Nodes render a template's images, which are the job's, with a video of them."""
    template = small_template()
    template["steps"][0]["script"] = drawing(IMAGE)
    report = rendered(farm, tmp_path, template, "{{Param.Out}}/f_####.png")
    assert (report["images"]["count"], report["images"]["rendered"], report["frames"]) == (6, 6, 6)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [f"f_000{n}.png" for n in range(1, 7)]


@pytest.mark.usefixtures("prefect_api")
def test_a_template_on_nodes(farm: OwnFarm, tmp_path: Path) -> None:
    """Nodes get the template, the files that its parameters name, and run its environments; the video is whole."""
    template = small_template()
    template["extensions"] = ["TASK_CHUNKING"]
    step = template["steps"][0]
    step["parameterSpace"]["taskParameterDefinitions"] = [
        {"name": "Frame", "type": "CHUNK[INT]", "range": "{{Param.Frames}}",
         "chunks": {"defaultTaskCount": 3, "rangeConstraint": "CONTIGUOUS"}}
    ]  # fmt: skip
    step["script"] = drawing(DRAW)
    report = rendered(farm, tmp_path, template, "{{Param.Out}}/part-{{Task.Param.Frame}}.mp4")
    assert (report["state"], report["frames"], len(report["chunks"])) == ("completed", 6, 2)
    assert all(chunk["worker"]["renderMs"] > 0 for chunk in report["chunks"])
