"""`helios-job plan` and `helios-job validate`."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.commands import COMMANDS, commands
from helios.job.source import load_job_spec
from testbed.jobs import make_job, write_job
from tests.command import helios_job, here, said

PLAN = ("plan", "--fps", "30000/1001", "--size", "1280x720", "--output-pattern", "part {index:02d}.mov")
COMMAND = ("--command", "render --from {start} --to {end} -n {count} -o {output}")


def test_plan_splits_evenly(tmp_path: Path) -> None:
    """Plan cuts ten frames into four chunks of 3, 3, 2 and 2 frames, and writes a valid document."""
    done = here(*PLAN, *COMMAND, "--frames", 10, "--chunks", 4, "--start-frame", 60, "-o", "job.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    spec = load_job_spec(str(tmp_path / "job.json"))
    assert [chunk.frame_count for chunk in spec.chunks] == [3, 3, 2, 2]
    assert spec.chunks[1].argv == ("render", "--from", "63", "--to", "66", "-n", "3", "-o", "part 01.mov")
    assert json.loads((tmp_path / "job.json").read_text())["metadata"]["fps"] == "30000/1001"


def test_plan_to_a_pipe() -> None:
    """Without -o plan writes the document to standard output, from which validate reads it."""
    planned = helios_job(*PLAN, *COMMAND, "--frames", "100", "--chunk-frames", "30")
    done = helios_job("validate", "-", stdin=planned.stdout.encode())
    assert done.returncode == 0
    assert done.stdout == "-: sound. 100 frames (0 to 99) of 1280×720 at 29.97 fps in 4 chunks\n"


def test_a_plan_cuts_where_a_list_says(tmp_path: Path) -> None:
    """The first frames of chunks are listed on the command line, or in a file of any line breaks."""
    (tmp_path / "cuts.txt").write_text("0\r\n24\r\n51\r\n")
    for cuts in ("24,51", str(tmp_path / "cuts.txt")):
        planned = json.loads(here(*PLAN, *COMMAND, "--frames", 60, "--cuts", cuts).stdout)
        assert [chunk["frameCount"] for chunk in planned["chunks"]] == [24, 27, 9]


def test_a_plan_may_be_a_template(tmp_path: Path) -> None:
    """With --emit-template the document has the templates themselves, the lengths, and the cuts of scenes."""
    words = ("--frames", 60, "--start-frame", 10, "--emit-template", "--target-seconds", 2.5, "--cuts", "24,51")
    done = here(*PLAN, *COMMAND, *words, "--preroll", 4, "-o", "job.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    document = json.loads((tmp_path / "job.json").read_text())
    assert document["template"] == {
        "command": COMMAND[1], "outputFile": "part {index:02d}.mov", "startFrame": 10, "targetSeconds": 2.5,
        "cuts": [24, 51], "preroll": 4,
    }  # fmt: skip
    assert "chunks" not in document
    said = here("validate", "job.json", cwd=tmp_path).stdout
    assert said.endswith("60 frames (10 to 69) of 1280×720 at 29.97 fps in chunks that are cut to take 2.5 s\n")


def test_a_plan_has_an_id() -> None:
    """The same plan has the same id, another plan another one; --id names it, or leaves it out."""

    def id_of(*words: str | int) -> str | None:
        document = json.loads(here(*PLAN, *COMMAND, "--chunks", 2, *words).stdout)
        return None if (found := document.get("id")) is None else str(found)

    first = id_of("--frames", 10)
    assert first is not None
    assert id_of("--frames", 10) == first
    assert id_of("--frames", 11) != first
    assert id_of("--frames", 10, "--id", "film 7") == "film 7"
    assert id_of("--frames", 10, "--id", "") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*COMMAND, "--frames", 10), "Give one of --chunks, --chunk-frames and --cuts"),
        (
            (*COMMAND, "--frames", 10, "--chunks", 2, "--chunk-frames", 5),
            "Give one of --chunks, --chunk-frames and --cuts",
        ),
        (
            (*COMMAND, "--frames", 10, "--emit-template", "--chunks", 2),
            "Give --target-seconds or --chunk-frames with --emit-template",
        ),
        ((*COMMAND, "--frames", 10, "--chunks", 2, "--longest", 3), "are of a template (--emit-template)"),
        ((*COMMAND, "--frames", 10, "--cuts", "0,12"), "The cut '12' is not a frame of the job; expected 0 to 9"),
        (
            (*COMMAND, "--frames", 10, "--cuts", "cuts.txt"),
            "no list of frames such as 0,240,517, and no file of one (No",
        ),
        ((*COMMAND, "--frames", 10, "--cuts", "/dev/zero"), "no list of frames such as 0,240,517, and no file of one"),
        (
            (*COMMAND, "--frames", 10, "--chunks", 2, "--fps", "fast"),
            "'fast' is no frame rate; expected a frame rate above 0",
        ),
        ((*COMMAND, "--frames", 10, "--chunks", 11), "11 chunks of 10 frames; expected 1 to 10"),
        ((*COMMAND, "--frames", 10, "--chunks", 2, "--size", "big"), "expected width x height in pixels"),
        (("--command", "r {strat}", "--frames", 10, "--chunks", 2), "{strat} is not known here. Known: {start}"),
        ((*COMMAND, "--frames", 10, "--chunks", 2, "-o", "no/such/folder.json"), "can't be written"),
    ],
)
def test_plans_that_do_not_work(words: tuple[str | int, ...], said: str) -> None:
    """A plan that does not work exits with 2 and one clear message."""
    done = here(*PLAN, *map(str, words))
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_validate(tmp_path: Path) -> None:
    """Validate describes a valid document, and refuses an invalid one with the reason and exit code 2."""
    path = write_job(tmp_path, make_job((10, 7), start=60))
    done = here("validate", path)
    assert done.stdout == f"{path}: sound. 17 frames (60 to 76) of 64×64 at 30 fps in 2 chunks\n"
    path = write_job(tmp_path, make_job((10, 7), outputFile="out\\v.mp4"))
    done = here("validate", path)
    assert done.returncode == 0
    assert "has a backslash in it, which makes no folder on this machine; if a folder is meant, write 'out/v.mp4'" in (
        done.stderr
    )
    path = write_job(tmp_path, make_job((10, 7)) | {"colour": "red"})
    done = here("validate", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"helios-job: {path}: colour: an unknown field; expected only fields of the job")


def test_the_list_of_commands_says_what_they_say() -> None:
    """`--help` lists every command with the first sentence of its own help."""
    for name, (_, _, line) in COMMANDS.items():
        command = commands.get_command(click.Context(commands), name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == line
        assert command.name == name
    assert said("--help").count("\n  ") >= len(COMMANDS)


def test_help_loads_no_models_and_no_media() -> None:
    """`--help` and `--version` answer without loading pydantic, PyAV or Prefect."""
    program = (
        "import sys; from cli.commands import commands; commands(['--help'], standalone_mode=False); "
        "print(sorted({'av', 'pydantic', 'prefect'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stderr.strip(), "cache" in done.stdout) == ("[]", True)


def test_help_and_version() -> None:
    """There is a version, and the help of run, validate and plan has an example."""
    assert here("--version").stdout.startswith("helios-job, version ")
    for command in ("run", "validate", "plan"):
        done = here(command, "--help")
        assert done.returncode == 0
        assert f"Example: helios-job {command}" in done.stdout
