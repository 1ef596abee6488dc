"""`helios-job openjd`: what becomes of a template, and what is refused."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.templates import example, small_template, write_template
from tests.command import here

MOVIE = {
    "name": "Movie",
    "dependencies": [{"dependsOn": "Render"}],
    "script": {"actions": {"onRun": {"command": "true"}}},
}
SPACE = "parameterSpace"


def planned(template: Path, *words: str, pattern: str | None = "{{Param.Out}}/f_####.png") -> dict[str, Any]:
    """The document that the command writes."""
    done = here(*_command(template, *words, pattern=pattern))
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads((template.parent / "job.json").read_text())
    return document


def refused(template: Path, *words: str, pattern: str | None = "{{Param.Out}}/f_####.png") -> str:
    """The one line of a refusal; nothing was written."""
    done = here(*_command(template, *words, pattern=pattern))
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(template.parent.glob("job*.json"))
    return done.stderr


def _command(template: Path, *words: str, pattern: str | None) -> list[str]:
    named = [] if pattern is None else ["--output-pattern", pattern]
    place = ["-o", str(template.parent / "job.json")]
    return ["openjd", str(template), "--fps", "24", "--size", "{{Param.Size}}x48", *named, *words, *place]


def test_a_template_of_images(tmp_path: Path) -> None:
    """Frames, size and names come from parameters; an attempt gets the images' folder, and a range can be rendered."""
    document = planned(write_template(tmp_path, small_template()), "-p", "Size=32", "--chunk-frames", "4")
    assert [(one["startFrame"], one["frameCount"]) for one in document["chunks"]] == [(1, 3), (4, 3)]
    assert document["metadata"]["width"] == 32
    assert document["chunks"][1]["command"] == "helios-openjd-chunk job.openjd.json 4 6 'out/f_####.png'"
    assert document["rangeCommand"] == "helios-openjd-chunk job.openjd.json {start} {last} {output}"
    kept = json.loads((tmp_path / "job.openjd.json").read_text())
    assert (kept["folder"], kept["parameters"]["Scene"]["value"]) == ("Out", "scene.txt")


def test_paths_are_those_of_the_template(tmp_path: Path) -> None:
    """A default is relative to the template, a given path to the current folder; one that lies outside is said."""
    (tmp_path / "sub").mkdir()
    template = write_template(tmp_path / "sub", small_template())
    done = here(*_command(template, pattern="{{Param.Out}}/f_####.png")[:-1], tmp_path / "job.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "job.openjd.json").read_text())
    assert [kept["parameters"][name]["value"] for name in ("Scene", "Out")] == ["sub/scene.txt", "sub/out"]
    done = here(*_command(template, "-p", "Scene=/srv/scene.txt", pattern="{{Param.Out}}/f_####.png"), cwd=tmp_path)
    assert "Param.Scene is /srv/scene.txt, outside the job directory" in done.stderr


def test_chunks_are_those_of_the_template(tmp_path: Path) -> None:
    """A template that chunks its tasks has its own lengths of chunks, and a range in each output's name."""
    document = planned(example("chunks.yaml", tmp_path), "--size", "320x180", "-p", "Frames=0-29",
                       pattern="{{Param.OutputDir}}/part-{{Task.Param.Frame}}.mp4")  # fmt: skip
    assert [one["outputFile"] for one in document["chunks"]] == [
        "parts/part-0-9.mp4", "parts/part-10-19.mp4", "parts/part-20-29.mp4",
    ]  # fmt: skip
    assert document["chunks"][0]["command"] == "helios-openjd-chunk job.openjd.json 0 9"


def test_a_step_after_the_frames(tmp_path: Path) -> None:
    """A step that waits for the frames becomes the merge command, unless the steps that are named leave it out."""
    template = small_template()
    template["steps"].append(MOVIE)
    path = write_template(tmp_path, template)
    assert planned(path)["mergeCommand"] == "helios-openjd-chunk job.openjd.json --step Movie"
    assert "mergeCommand" not in planned(path, "--step", "Render")


def test_requirements(tmp_path: Path) -> None:
    """Memory, GPUs and attributes of one value become `requires`; another one is refused unless it is left out."""
    template = small_template()
    template["steps"][0]["hostRequirements"] = {
        "amounts": [{"name": "amount.worker.memory", "min": 512}, {"name": "amount.worker.gpu", "min": 2},
                    {"name": "amount.worker.vcpu", "min": 4}],
        "attributes": [{"name": "attr.worker.os.family", "anyOf": ["linux", "windows"]},
                       {"name": "attr.renderer", "anyOf": ["blender-4"]}],
    }  # fmt: skip
    path = write_template(tmp_path, template)
    assert "requires amount.worker.vcpu (min 4)" in refused(path)
    requires = planned(path, "--ignore-requirement", "amount.worker.vcpu")["requires"]
    assert (requires["memory"], requires["gpus"], requires["tags"]) == (512 * 2**20, 2, ["blender-4"])


def test_tasks_of_several_parameters(tmp_path: Path) -> None:
    """Of a step that varies more than frames, values are chosen; their combinations are the template's."""
    template = small_template()
    template["steps"][0][SPACE] = {
        "taskParameterDefinitions": [
            {"name": "Star", "type": "INT", "range": "3-4"},
            {"name": "Swirl", "type": "FLOAT", "range": [5.5, 7]},
            {"name": "Frame", "type": "INT", "range": "0-3"},
        ],
        "combination": "(Star, Swirl) * Frame",
    }
    path = write_template(tmp_path, template)
    assert "such as --task Star=3" in refused(path)
    assert "no task with Star=5" in refused(path, "--task", "Star=5")
    assert "--task Moon: step 'Render' has" in refused(path, "--task", "Moon=1")
    document = planned(path, "--task", "Star=4", pattern="{{Param.Out}}/{{Task.Param.Star}}_####.png")
    assert document["chunks"][0]["outputFile"] == "out/4_####.png"
    assert json.loads((tmp_path / "job.openjd.json").read_text())["others"]["Swirl"]["value"] == "7"


def _without_frames(template: dict[str, Any]) -> None:
    del template["steps"][0][SPACE]


def _texts(template: dict[str, Any]) -> None:
    template["steps"][0][SPACE]["taskParameterDefinitions"] = [{"name": "View", "type": "STRING", "range": ["a", "b"]}]


def _two_first_steps(template: dict[str, Any]) -> None:
    template["steps"].append({**MOVIE, "dependencies": None})


def _step_before(template: dict[str, Any]) -> None:
    template["steps"].insert(0, {"name": "Export", "script": MOVIE["script"]})
    template["steps"][1]["dependencies"] = [{"dependsOn": "Export"}]


def _two_tasks_after(template: dict[str, Any]) -> None:
    space = {"taskParameterDefinitions": [{"name": "Quality", "type": "STRING", "range": ["0", "3"]}]}
    template["steps"].append({**MOVIE, SPACE: space})


def _unknown_extension(template: dict[str, Any]) -> None:
    template["extensions"] = ["TIME_TRAVEL"]


def _unknown_field(template: dict[str, Any]) -> None:
    template["steps"][0]["retries"] = 3


def _shell_of_windows(template: dict[str, Any]) -> None:
    template["extensions"] = ["FEATURE_BUNDLE_1"]
    template["steps"][0]["cmd"] = {"script": "echo hello"}
    del template["steps"][0]["script"]


def _list_without_extension(template: dict[str, Any]) -> None:
    template["parameterDefinitions"].append({"name": "Layers", "type": "LIST[STRING]", "default": ["sky"]})


def _half_a_wrapper(template: dict[str, Any]) -> None:
    template["extensions"] = ["EXPR", "WRAP_ACTIONS"]
    actions = {"onWrapTaskRun": {"command": "true"}}
    template["jobEnvironments"] = [{"name": "Wrapper", "script": {"actions": actions}}]


def _wrapper_without_extension(template: dict[str, Any]) -> None:
    _half_a_wrapper(template)
    template["extensions"] = ["EXPR"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_shell_of_windows, "Step 'Render' runs cmd, the shell of Windows"),
        (_list_without_extension, "LIST[STRING]"),
        (_half_a_wrapper, "all of onWrapEnvEnter, onWrapTaskRun, and onWrapEnvExit must be defined"),
        (_wrapper_without_extension, "WRAP_ACTIONS extension"),
        (_without_frames, "Step 'Render' has no task parameter of type INT or CHUNK[INT] that counts frames"),
        (_texts, "Step 'Render' has no task parameter of type INT or CHUNK[INT] that counts frames"),
        (_two_first_steps, "The steps 'Render', 'Movie' do not wait for each other"),
        (_step_before, "Step 'Export' has no task parameter"),
        (_two_tasks_after, "Step 'Movie' is not held by a job document"),
        (_unknown_extension, "TIME_TRAVEL"),
        (_unknown_field, "retries"),
    ],
)
def test_templates_that_can_t_be_held(tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str) -> None:
    """What a job document can't hold is refused by its name, in one line."""
    template = small_template()
    change(template)
    assert says in refused(write_template(tmp_path, template))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "Colour=red"], "not defined in the template: Colour"),
        (["-p", "Size=500"], "Size"),
        (["-p", "Mode=pink"], "Mode"),
        (["-p", "Mode"], "-p 'Mode': expected Name=Value"),
        (["-p", "Size=20", "-p", "Size=30"], "-p Size: given twice"),
        (["-p", "Frames=1-10,15"], "a gap between 10 and 15"),
        (["-p", "Frames=1-9:2"], "a gap between 1 and 3"),
        (["-p", "Frames=-3-2"], "frames -3 to 2"),
        (["--step", "Rendr"], "no step 'Rendr'; it has 'Render'"),
        (["--fps", "{{Param.Rate}}"], "--fps '{{Param.Rate}}': 'Param.Rate' is not known here"),
        (["--size", "large"], "--size 'large'"),
    ],
)
def test_words_that_can_t_be(tmp_path: Path, words: list[str], says: str) -> None:
    """A parameter or an option that is wrong is refused in one line."""
    assert says in refused(write_template(tmp_path, small_template()), *words)


def test_an_output_that_nothing_names(tmp_path: Path) -> None:
    """A template says no names of outputs: they are asked for, and none is guessed."""
    path = write_template(tmp_path, small_template())
    assert "Its output parameters are Out; name the files by --output-pattern" in refused(path, pattern=None)
    assert "too narrow for frame 6" not in refused(path, pattern="{{Param.Out}}/f.png")


def test_files_that_are_no_templates(tmp_path: Path) -> None:
    """A missing file, a folder, another document and an environment template are refused in one line."""
    assert "does not exist" in refused(tmp_path / "nowhere.yaml")
    assert "is a folder" in refused(tmp_path)
    other = tmp_path / "other.yaml"
    for text, says in (
        ("a: [", "is no job template"),
        ("[1, 2]", "is no job template"),
        (
            "a: &a [1, 1]\n"
            + "".join(f"{n}: &{n} [*{o}, *{o}, *{o}, *{o}, *{o}]\n" for o, n in pairwise("abcdefghijk")),
            "values; expected at most",
        ),
        ("a: 1", "missing Open Job Description schema version key"),
        ("specificationVersion: environment-2023-09\nenvironment: {name: a}", "not a Job Template version"),
        ("specificationVersion: jobtemplate-2099-01", "Unknown template version"),
    ):
        other.write_text(text)
        assert says in refused(other)


def test_a_template_is_no_job_document(tmp_path: Path) -> None:
    """Commands that take a job document say what to do with a template, in YAML or JSON."""
    for path in (example("bar.yaml", tmp_path), write_template(tmp_path, small_template())):
        done = here("validate", path)
        assert done.returncode == 2
        assert "`helios-job openjd` makes a job document of a job template" in done.stderr
