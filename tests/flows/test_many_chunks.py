"""Jobs of hundreds of chunks on workers elsewhere: minutes, `make test-slow`."""

from pathlib import Path

import pytest

from testbed.cloud.aws import Aws
from testbed.cloud.google import Google
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.running import render

pytestmark = [pytest.mark.usefixtures("prefect_api"), pytest.mark.slow, pytest.mark.timeout(900)]


async def test_500_chunks_need_few_executions(google: Google, tmp_path: Path) -> None:
    """500 chunks need few executions: chunks that are ready together share one, and later chunks are gathered."""
    before = int(google.jobs.state()["seen"]["executions"])
    config = {**google.job_config, "gather_seconds": 2.0, "poll_seconds": 1.0}
    job = make_job((2,) * 500, outputFile="video.mp4")
    _, report = await render(tmp_path, job, adapter=config, concurrency=60)
    assert report.state == "completed", report.error
    assert read_numbers(tmp_path / "video.mp4") == list(range(1000))
    used = int(google.jobs.state()["seen"]["executions"]) - before
    assert used < 120, used


async def test_200_chunks_under_a_storm_of_faults(amazon: Aws, tmp_path: Path) -> None:
    """The video is exact although every tenth invocation is throttled, killed or loses its answer and uploads break."""
    for kind, times in (("throttle", 8), ("kill", 4), ("lose-answer", 8), ("garble-answer", 4)):
        amazon.functions.want(kind, times)
    amazon.storage.want("cut-upload", 8)
    amazon.storage.want("lose-put-answer", 4)
    job = make_job((3,) * 200, outputFile="video.mp4")
    config = {**amazon.config, "answer_wait_seconds": 2}
    _, report = await render(tmp_path, job, adapter=config, concurrency=4)
    assert report.state == "completed", report.error
    assert read_numbers(tmp_path / "video.mp4") == list(range(600))
    state = amazon.functions.state()["fired"]
    assert all(state.get(kind) for kind in ("throttle", "kill", "lose-answer", "garble-answer")), state
    assert amazon.storage.fired("cut-upload") >= 8
