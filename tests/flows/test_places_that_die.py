"""A place, or the run's own process, dies in the middle of a job of several places."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from helios.models.report import JobReport
from testbed.cloud.aws import aws
from testbed.jobs import write_job
from testbed.video import read_numbers
from tests.command import helios_job, start_helios_job, until
from tests.flows.test_places import CHUNKS, FRAMES, accepted_at, here, job_of, rendered
from tests.running import leftovers

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.slow]


async def test_lambda_is_gone_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Chunks that it had are rendered on this machine, each once more at most; the log says that it gets none."""
    (folder := tmp_path / "job").mkdir()
    marks = f'case "$PLACE" in "") touch {tmp_path}/elsewhere; sleep 2;; *) sleep 0.5;; esac'
    with aws(concurrency=4) as amazon:
        for name, value in amazon.environment.items():
            monkeypatch.setenv(name, value)
        places = [here("local"), {"adapter": amazon.config, "name": "cloud", "concurrency": 4}]
        work = asyncio.create_task(
            rendered(folder, job_of(marks, chunks=16), places, hedge=0.0, retry_delay_seconds=0.05)
        )
        while not (tmp_path / "elsewhere").exists():
            assert not work.done(), work.result()
            await asyncio.sleep(0.05)
        amazon.functions.kill()
        report = await work
    gone = report.places[1]
    assert gone.failed > 0
    assert gone.benched == 1
    assert "local" in accepted_at(report)
    assert "cloud gets no chunks for" in caplog.text


def test_a_killed_run_goes_on_at_other_places(tmp_path: Path) -> None:
    """After SIGKILL of the flow, a run of the same job with another list of places keeps what was accepted."""
    job = job_of(f"test -e {tmp_path}/go || sleep 1", id=f"killed {tmp_path}")
    folder = tmp_path / "job"
    folder.mkdir()
    path = write_job(folder, job)
    process = start_helios_job("run", path, "--adapter-config", _listed("a", "b"))
    until(lambda: len(list(folder.glob("chunk ?.mp4"))) >= 4 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    there = {one.name: one.stat().st_mtime_ns for one in folder.glob("chunk ?.mp4")}
    (tmp_path / "go").touch()
    done = helios_job("run", path, "--adapter-config", _listed("c", "a"), "--json")
    assert done.returncode == 0, done.stderr
    report = JobReport.model_validate(json.loads(done.stdout))
    assert list(read_numbers(folder / "video.mp4")) == list(range(CHUNKS * FRAMES))
    assert leftovers(folder) == []
    reused = [chunk for chunk in report.chunks if chunk.reused]
    assert len(there) - 2 <= len(reused) < CHUNKS  # two may have had their names, and were not on record yet
    for chunk in reused:
        assert (folder / f"chunk {chunk.id}.mp4").stat().st_mtime_ns == there[f"chunk {chunk.id}.mp4"]
    assert {one.place for chunk in report.chunks for one in chunk.timeline} <= {"c", "a"}


def _listed(*names: str) -> str:
    # The commands' environment is an input: with another one, chunks are rendered again.
    places: list[dict[str, Any]] = [{"adapter": "local", "name": name, "concurrency": 1} for name in names]
    return json.dumps(places)
