"""`helios-job quote` renders a sample, and says what the job takes."""

import json
import shlex
from pathlib import Path

import pytest

from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import here
from tests.flows.test_cost import hourly
from tests.running import begun

pytestmark = pytest.mark.usefixtures("prefect_api")


def test_the_run_keeps_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is three chunks; the command that it offers renders the others alone, at about the quoted price."""
    hourly(tmp_path, monkeypatch)  # a second costs 1
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", "slow:1"]
    path = write_job(tmp_path, make_job([5] * 6, extra=words, id=f"quoted {tmp_path}"))
    output = tmp_path / "video.mp4"
    done = here("quote", path, "--concurrency", 1, "--concurrency", 2, "--output", output, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["keepsSample"], len(found["sample"]), begun(tmp_path)) == (True, 3, 3)
    assert {0, 3} < set(found["sample"])
    one, two = found["quotes"]
    assert (one["concurrency"], two["concurrency"], one["currency"]) == (1, 2, "USD")
    assert one["seconds"]["middle"] == pytest.approx(2 * two["seconds"]["middle"])
    assert one["cost"]["low"] <= one["cost"]["middle"] <= one["cost"]["high"]
    assert one["cost"]["middle"] >= 6
    command = shlex.split(found["command"])
    assert command == ["helios-job", "run", str(path), "--output", str(output), "--adapter", "local",
                       "--concurrency", "2"]  # fmt: skip
    ran = here(*command[1:])
    assert ran.returncode == 0, ran.stderr
    assert "(3 of 6 chunks reused)" in ran.stdout
    assert "; it has cost " in ran.stdout
    assert begun(tmp_path) == 6
    assert read_numbers(output) == list(range(30))


def test_without_prices_and_without_an_id(tmp_path: Path) -> None:
    """Where nothing costs anything only the time is said; of a job without an id that the sample is not kept."""
    done = here("quote", write_job(tmp_path, make_job([5] * 2)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Sample: 2 of 2 chunks (0, 1; seed 1)\n  local, ")
    assert "The document has no id: a run renders the sample's chunks again" in done.stdout
    assert "USD" not in done.stdout


def test_a_sample_that_fails(tmp_path: Path) -> None:
    """A sample that can't be rendered ends as a run does that fails."""
    job = make_job([5] * 4)
    job["chunks"][0]["command"] = "false"
    done = here("quote", write_job(tmp_path, job), "--retries", 0)
    assert done.returncode == 1
    assert "chunk 0 (frames 0 to 4), attempt 1: false exited with code 1" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--adapter", "local", "--adapter", "local"], "An adapter is named twice (--adapter local --adapter local)"),
        (["--adapter", "local", "--adapter", "farm", "--adapter-config", "{}"], "--adapter-config is for one adapter"),
        (["--adapter", "lamda"], "Unknown adapter 'lamda'"),
        (["--concurrency", "0"], "0 is not in the range"),
        (["--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_refused(tmp_path: Path, words: list[str], says: str) -> None:
    """What can't be quoted is refused before anything runs."""
    done = here("quote", write_job(tmp_path, make_job([5])), *words)
    assert done.returncode == 2
    assert says in done.stderr
