"""`helios-openjd-chunk`: environments around the tasks of a chunk, in one session, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.templates import small_template, write_template
from tests.command import here

PROGRAM = str(Path(sys.executable).with_name("helios-openjd-chunk"))


def shell(script: str) -> dict[str, Any]:
    """An action that runs a script."""
    return {"command": "sh", "args": ["-c", script]}


def noting_template(folder: Path, task: str, **action: Any) -> Path:
    """Write a template whose environments and tasks leave lines in `notes`, and its job document."""
    template = small_template()
    note = f'echo "$WHO {{}}" >> {folder}/notes'
    template["jobEnvironments"] = [
        {
            "name": "Outer",
            "variables": {"WHO": "outer"},
            "script": {
                "actions": {
                    "onEnter": shell(note.format("enters") + '; echo "openjd_env: TOLD=yes"'),
                    "onExit": shell(note.format("leaves")),
                }
            },
        }
    ]
    step = template["steps"][0]
    step["stepEnvironments"] = [
        {
            "name": "Inner",
            "variables": {"WHO": "inner"},
            "script": {"actions": {"onEnter": shell(note.format("enters")), "onExit": shell(note.format("leaves"))}},
        }
    ]
    script = f'echo "{{{{Task.Param.Frame}}}} $TOLD {{{{Param.Mode}}}}" >> {folder}/notes; {task}'
    step["script"]["actions"]["onRun"] = {**shell(script), **action}
    words = ("--fps", "24", "--size", "64x48", "--output-pattern", "{{Param.Out}}/f_####.png")
    assert here("openjd", write_template(folder, template), *words, "-o", folder / "job.json").returncode == 0
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in the job directory."""
    command = [PROGRAM, "job.openjd.json", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


def test_environments_are_around_all_tasks_of_a_chunk(tmp_path: Path) -> None:
    """A chunk is one session: the environments are entered once, in order, and left in reverse; variables are seen."""
    done = run(noting_template(tmp_path, "echo drawing"), "2", "4")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("drawing") == 3
    frames = [f"{frame} yes dark" for frame in (2, 3, 4)]
    assert notes(tmp_path) == ["outer enters", "inner enters", *frames, "inner leaves", "outer leaves"]


def test_a_task_that_fails(tmp_path: Path) -> None:
    """No further task runs, the environments are left, and one line says which task failed and what it said."""
    task = 'test {{Task.Param.Frame}} != 3 || { echo "openjd_fail: no light"; exit 7; }'
    done = run(noting_template(tmp_path, task), "2", "4")
    assert done.returncode == 1
    assert done.stderr == "helios-openjd-chunk: step 'Render' with Frame = 3 failed with code 7: no light\n"
    assert notes(tmp_path)[-3:] == ["3 yes dark", "inner leaves", "outer leaves"]


def test_a_task_that_takes_too_long(tmp_path: Path) -> None:
    """The template's timeout ends the task, and the environments are left."""
    folder = noting_template(tmp_path, "sleep 100", timeout=1, cancelation={"mode": "TERMINATE"})
    done = run(folder, "1", "1")
    assert (done.returncode, done.stderr) == (
        1,
        "helios-openjd-chunk: step 'Render' with Frame = 1 ran longer than its timeout\n",
    )
    assert notes(tmp_path)[-2:] == ["inner leaves", "outer leaves"]


def test_sigterm(tmp_path: Path) -> None:
    """SIGTERM ends the running task, and the environments are left."""
    folder = noting_template(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 100")
    command = [PROGRAM, "job.openjd.json", "1", "3"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as program:
        deadline = time.monotonic() + 120
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        program.send_signal(signal.SIGTERM)
        _, errors = program.communicate(timeout=120)
    assert program.returncode == 1
    assert "was stopped (SIGTERM)" in errors
    assert notes(tmp_path)[-2:] == ["inner leaves", "outer leaves"]
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_folder_of_the_attempt(tmp_path: Path) -> None:
    """Where the order names the images elsewhere, the template's output folder is that one."""
    folder = noting_template(tmp_path, "echo {{Param.Out}} {{Param.Scene}}")
    done = run(folder, "1", "1", "out/images-attempt-1/f_####.png")
    assert f"{tmp_path}/out/images-attempt-1 {tmp_path}/scene.txt" in done.stdout


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    """A file that is missing, or was changed, ends the program with one line."""
    folder = noting_template(tmp_path, "true")
    (folder / "job.openjd.json").write_text(json.dumps({"template": 1}))
    assert "was not written by `helios-job openjd`" in run(folder, "1", "1").stderr
    os.unlink(folder / "job.openjd.json")
    assert (
        run(folder, "1", "1").stderr
        == "helios-openjd-chunk: job.openjd.json can't be read: No such file or directory\n"
    )


def _lists(template: dict[str, Any]) -> None:
    template["extensions"] = ["EXPR"]
    template["parameterDefinitions"] += [
        {"name": "Layers", "type": "LIST[STRING]", "default": ["sky", "sea"]},
        {"name": "Maps", "type": "LIST[PATH]", "default": ["scene.txt", "/srv/map"]},
        {"name": "Sizes", "type": "LIST[INT]", "default": [1, 2]},
        {"name": "Rates", "type": "LIST[FLOAT]", "default": [1.5]},
        {"name": "Flags", "type": "LIST[BOOL]", "default": [True, False]},
        {"name": "Rows", "type": "LIST[LIST[INT]]", "default": [[1, 2], [3]]},
        {"name": "Some", "type": "RANGE_EXPR", "default": "1-5,9"},
        {"name": "Dark", "type": "BOOL", "default": False},
    ]
    words = ["Layers[0]", "Maps[0]", "Maps[1]", "Rates[0]", "Flags[1]", "Rows[0][1]", "Some", "Dark"]
    args = [*(f"{{{{Param.{word}}}}}" for word in words), "{{len(Param.Layers)}}", "{{sum(Param.Sizes)}}"]
    template["steps"][0]["script"]["actions"]["onRun"] = {"command": "echo", "args": args}


def _redacted(template: dict[str, Any]) -> None:
    template["extensions"] = ["REDACTED_ENV_VARS"]
    enter = shell('echo "openjd_redacted_env: TOKEN=hush-hush"')
    template["jobEnvironments"] = [{"name": "Secret", "script": {"actions": {"onEnter": enter}}}]
    task = shell('test "$TOKEN" = hush-hush && echo "it is $TOKEN"')
    template["steps"][0]["script"]["actions"]["onRun"] = task


def _in_bash(template: dict[str, Any]) -> None:
    template["extensions"] = ["FEATURE_BUNDLE_1"]
    template["steps"][0]["bash"] = {"script": "echo frame {{Task.Param.Frame}}", "timeout": "{{Param.Size}}"}
    del template["steps"][0]["script"]


def _in_python(template: dict[str, Any]) -> None:
    template["extensions"] = ["FEATURE_BUNDLE_1"]
    template["steps"][0]["python"] = {"script": "print('frame', {{Task.Param.Frame}})"}
    del template["steps"][0]["script"]


def _wrapped(template: dict[str, Any]) -> None:
    template["extensions"] = ["EXPR", "WRAP_ACTIONS"]
    words = ["-c", 'echo wrapped; exec "$@"', "sh", "{{WrappedAction.Command}}", "{{WrappedAction.Args}}"]
    wrap = {"command": "sh", "args": words}
    actions = {"onWrapEnvEnter": wrap, "onWrapTaskRun": wrap, "onWrapEnvExit": wrap}
    template["jobEnvironments"] = [{"name": "Wrapper", "script": {"actions": actions}}]
    template["steps"][0]["script"]["actions"]["onRun"] = shell("echo frame {{Task.Param.Frame}}")


@pytest.mark.parametrize(
    ("change", "words", "says"),
    [
        (_lists, [], "sky {folder}/scene.txt /srv/map 1.5 false 2 1-5,9 false 2 3"),
        (
            _lists,
            ["-p", 'Layers=["x","y","z"]', "-p", "Sizes=[5,6]", "-p", "Rows=[[7,8]]", "-p", "Dark=true"],
            "x {folder}/scene.txt /srv/map 1.5 false 8 1-5,9 true 3 11",
        ),
        (_redacted, [], "openjd_redacted_env: TOKEN=********\nit is ********"),
        (_in_bash, [], "frame 2"),
        (_in_python, [], "frame 2"),
        (_wrapped, [], "wrapped\nframe 2"),
    ],
)
def test_extensions(tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str], says: str) -> None:
    """What the extensions of the specification add is done, on the worker."""
    template = small_template()
    change(template)
    path = write_template(tmp_path, template)
    order = ("--fps", "24", "--size", "64x48", "--output-pattern", "{{Param.Out}}/f_####.png", *words)
    planned = here("openjd", path, *order, "-o", tmp_path / "job.json")
    assert planned.returncode == 0, planned.stderr
    done = run(tmp_path, "2", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == says.replace("{folder}", str(tmp_path))
