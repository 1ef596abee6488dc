"""`helios-job list`, `status`, `logs`, `wait`, `retry`, `delete`, `submit`, run in the tests' process."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.models.report import JobReport
from testbed.cloud.aws import Aws
from testbed.jobs import make_job, write_job
from tests.command import here, said, until
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(scope="module")
def film(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> JobReport:
    """The report of a run that completed."""
    job = make_job([5] * 3, outputFile="video.mp4")
    return asyncio.run(render(tmp_path_factory.mktemp("film"), job))[1]


def test_status_of_a_run_that_completed(film: JobReport) -> None:
    """Status shows a completed run as text and as JSON, by id and by name."""
    name = f"job-{film.run_id[-6:]}"
    assert said("status", film.run_id).startswith(f"{name} ({film.run_id}): completed\n")
    assert "  done: 15 of 15 frames, 3 of 3 chunks (100 %)\n" in said("status", film.run_id)
    status = json.loads(said("status", name, "--json"))
    assert (status["runId"], status["state"], status["process"]) == (film.run_id, "completed", None)
    assert status["started"] < status["ended"]
    assert status["progress"] == {
        "phase": "done", "percent": 100.0, "frames": 15, "totalFrames": 15, "chunks": 3, "totalChunks": 3,
    }  # fmt: skip


@pytest.mark.slow
def test_list_filters_and_sorts(film: JobReport, tmp_path: Path) -> None:
    """List filters runs by state and by part of the name, and sorts them."""
    failed = asyncio.run(render(tmp_path, make_job((5,), extra=["--misbehave", "exit:3"])))[1]

    def listed(*words: object) -> list[str]:
        found = [run["runId"] for run in json.loads(said("list", "--json", "--limit", 200, *words))]
        return [run for run in found if run in (film.run_id, failed.run_id)]

    assert listed() == [failed.run_id, film.run_id]
    assert listed("--sort", "oldest") == [film.run_id, failed.run_id]
    assert listed("--state", "failed") == [failed.run_id]
    assert listed("--state", "stitching", "--state", "completed") == [film.run_id]
    assert listed("--state", "running", "--state", "paused") == []
    assert listed("--name", film.run_id[-6:]) == [film.run_id]
    assert f"{failed.run_id}  failed " in said("list", "--state", "failed")
    header, *rows = said("list", "--limit", 200).splitlines()
    assert header.split() == ["ID", "STATE", "NAME", "BEGAN", "TOOK", "DONE"]
    row = next(row for row in rows if row.startswith(film.run_id))
    assert re.search(rf"completed  job-{film.run_id[-6:]} +\d{{4}}-\d\d-\d\d \d\d:\d\d  [\d.]+ s +100 %  ", row), row
    assert all(row.startswith(" " * 36) or len(row.split()[0]) == 36 for row in rows)


def test_explain_of_a_run_that_failed(tmp_path: Path) -> None:
    """Explain says of a failed run what was tried, and how it ended."""
    job = make_job((5, 5), extra=["--misbehave", "exit:3", "--only", "5"])
    failed = asyncio.run(render(tmp_path, job, retries=1, retry_delay_seconds=0.1))[1]
    lines = said("explain", failed.run_id).splitlines()
    assert lines[0].endswith(": failed")
    assert any("of 2 chunks were accepted. Its end: chunk 1 (frames 5 to 9), attempt 2: " in line for line in lines)
    assert sum(line.startswith("  Chunk 1: attempt ") and " failed after " in line for line in lines) == 2


def test_explain_of_a_run_that_did_not_render(tmp_path: Path) -> None:
    """Explain of a run that was refused says that there is nothing to explain, and what shows more."""
    job = make_job((5,), requires={"licences": ["no such"]})
    refused = asyncio.run(render(tmp_path, job))[1]
    assert said("explain", refused.run_id).startswith(f"job-{refused.run_id[-6:]} ({refused.run_id}): failed\n")


@pytest.mark.slow
def test_status_of_a_run_that_failed_and_was_retried(tmp_path: Path) -> None:
    """Status says of a failed run where it stopped, and shows each chunk once, in plain words, also after a retry."""
    job = make_job((5, 5), id=f"retried {tmp_path}", extra=["--misbehave", "exit:3", "--only", "5"])
    failed = asyncio.run(render(tmp_path, job, retries=0))[1]
    for _ in range(2):
        text = said("status", failed.run_id, "--chunks")
        assert "  stopped while rendering: " in text
        chunks = [line.split() for line in text.splitlines() if line.startswith("  chunk-")]
        assert sorted(words[0] for words in chunks) == ["chunk-0", "chunk-1"]
        assert "encountered an exception" not in text
        here("retry", failed.run_id)


def test_logs(film: JobReport) -> None:
    """Logs prints the lines of a run and its chunks in order, and filters them by level."""
    until(lambda: "Done: " in said("logs", film.run_id))  # the last lines may come after the run's end
    lines = said("logs", film.run_id, "--follow").splitlines()
    assert sum("Accepted: frames" in line for line in lines) == 3
    assert any("Done: 15 frames in 3 chunks" in line for line in lines)
    assert lines == sorted(lines, key=lambda line: line[:8])
    assert said("logs", film.run_id, "--level", "error") == ""


def test_wait_says_how_it_ended(film: JobReport, tmp_path: Path) -> None:
    """Wait prints how the run ended, as `run` does."""
    assert said("wait", film.run_id).startswith(f"{film.output}: 15 frames, 0.500 s")
    assert json.loads(said("wait", film.run_id, "--json"))["runId"] == film.run_id


def test_retry_of_a_run_that_completed_renders_nothing(film: JobReport) -> None:
    """Retry of a completed run reuses every chunk, as Retry in the UI does."""
    report = json.loads(said("retry", film.run_id, "--json"))
    assert [(chunk["reused"], chunk["attempts"]) for chunk in report["chunks"]] == [(True, 0)] * 3


def test_delete_takes_what_a_run_left(amazon: Aws, tmp_path: Path) -> None:
    """Delete removes a run and its objects in storage; its chunks stay."""
    config = {**amazon.config, "keep_objects": True}
    _, report = asyncio.run(render(tmp_path, make_job([5] * 2), adapter=config))
    answer = said("delete", report.run_id)
    assert answer.startswith(f"job-{report.run_id[-6:]} ({report.run_id}) is deleted\n")
    assert "objects are removed from storage" in answer
    assert len(list(tmp_path.glob("chunk ?.mp4"))) == 2
    with pytest.raises(RequestError, match=f"There is no run '{report.run_id}'"):
        said("status", report.run_id)


def test_submit_refuses_what_can_t_be(tmp_path: Path) -> None:
    """Submit refuses an unknown deployment, settings with secrets and a missing document, and says why."""
    path = write_job(tmp_path, make_job((5,)))
    with pytest.raises(RequestError, match="There is no deployment render-job/moon; "):
        said("submit", path, "--deployment", "moon")
    secret = (
        '{"function": "f", "storage": "s3://b/f", "credentials": {"access_key_id": "id", "secret_access_key": "x"}}'
    )
    with pytest.raises(RequestError, match="hold secrets, which Prefect does not keep; save them as a block"):
        said("submit", path, "--adapter", "aws-lambda", "--adapter-config", secret)
    with pytest.raises(RequestError, match="nowhere"):
        said("submit", tmp_path / "nowhere.json")
