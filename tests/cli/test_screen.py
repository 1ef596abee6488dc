"""What commands that render show on standard error."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from testbed.jobs import make_job, write_job
from tests.command import helios_job, here, on_a_terminal, said

pytestmark = pytest.mark.usefixtures("prefect_api")

WORDS = "no light in scene 7"


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """A job whose only chunk fails with words of its own."""
    job = make_job((5,), outputFile="video.mp4")
    job["chunks"][0]["command"] = f"sh -c 'echo {WORDS} >&2; exit 3'"
    return write_job(tmp_path, job)


@pytest.mark.slow
def test_a_failure_is_told_once(failing: Path) -> None:
    """On standard error, a chunk's last words stand once, with the lines in which the command wrote them."""
    done = helios_job("run", failing, "--retries", 0)
    assert done.returncode == 1
    assert done.stderr.count(WORDS) == 1, done.stderr
    assert "\\n" not in done.stderr
    assert "Finished in state" not in done.stderr


@pytest.mark.slow
def test_a_failure_on_a_terminal(failing: Path) -> None:
    """With a bar it is told once too."""
    code, drawn = on_a_terminal("run", failing, "--retries", 0, cwd=failing.parent)
    assert (code, drawn.count(WORDS)) == (1, 1), drawn


def test_quiet(tmp_path: Path, failing: Path) -> None:
    """With --quiet, a job that goes well prints its result alone, one that fails its error."""
    well = tmp_path / "well"
    well.mkdir()
    done = helios_job("run", write_job(well, make_job((5,), outputFile="video.mp4")), "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{well}/video.mp4: 5 frames")
    done = helios_job("run", failing, "--retries", 0, "-q")
    assert done.returncode == 1
    assert done.stderr.startswith("helios-job: chunk 0 (frames 0 to 4), attempt 1: sh exited with code 3.")


@pytest.mark.slow
def test_lines_for_programs(failing: Path) -> None:
    """With --log-format json, each line on standard error is an object with its time, level and message."""
    done = helios_job("run", failing, "--retries", 0, "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert {"run", "task"} <= next(line for line in lines if line["message"].endswith("Given up")).keys()
    assert lines[-2]["message"].startswith("helios-job: chunk 0 ")
    refused = here("run", failing, "--adapter", "nope", "--log-format", "json")
    assert json.loads(refused.stderr)["message"].startswith("helios-job: Unknown adapter 'nope'")
    assert here("run", failing, "--adapter", "nope").stderr.startswith("helios-job: ")


@pytest.mark.slow
def test_one_estimate_of_the_time_left(tmp_path: Path) -> None:
    """The bar says once how much time is left."""
    job = make_job((5,) * 8, outputFile="video.mp4")
    for chunk in job["chunks"]:
        chunk["command"] = shlex.join(["sh", "-c", 'sleep 0.5; "$@"', "sh", *shlex.split(chunk["command"])])
    write_job(tmp_path, job)
    code, drawn = on_a_terminal("run", "job.json", "--concurrency", 2, cwd=tmp_path)
    assert code == 0, drawn
    bars = [line for line in re.split(r"[\r\n]", drawn) if " left" in line]
    assert bars, drawn
    for line in bars:
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
        assert re.search(r" left(; .*)? \d:\d\d:\d\d *$", plain), plain


@pytest.mark.slow
def test_what_a_shell_completes(tmp_path: Path) -> None:
    """Runs by name, adapters, saved blocks and files."""
    assert "_HELIOS_JOB_COMPLETE=zsh_complete" in said("completion", "zsh")
    done = here("run", write_job(tmp_path, make_job((5,))))
    assert done.returncode == 0, done.stderr
    name = json.loads(said("list", "--limit", 1, "--json"))[0]["name"]

    def completed(*words: str) -> list[str]:
        asked = {"COMP_WORDS": " ".join(["helios-job", *words]), "COMP_CWORD": str(len(words))}
        return helios_job(env={**os.environ, **asked, "_HELIOS_JOB_COMPLETE": "bash_complete"}).stdout.splitlines()

    assert f"plain,{name}" in completed("status", name[:5])
    assert "".join(completed("status", "no-such-run")) == ""
    assert {"plain,farm", "plain,local"} <= set(completed("run", "--adapter", ""))
    assert completed("run", "--adapter", "aws") == ["plain,aws-lambda"]
    assert completed("run", "j") == ["file,j"]


def test_whose_settings_are_meant(failing: Path) -> None:
    """What is wrong in an adapter's settings is said with the place where that adapter's settings are described."""
    done = here("run", failing, "--adapter", "cloud-run", "--adapter-config", '{"nonsense": 1}')
    assert "(see docs/adapters.md#cloud-run)" in done.stderr, done.stderr
