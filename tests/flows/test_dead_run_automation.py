"""Prefect's server itself notices that a run died, when nobody looks."""

import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.server.credentials import client_headers
from testbed.jobs import make_job, write_job
from tests.command import start_helios_job, until


@pytest.mark.slow
def test_a_run_that_died_is_crashed_within_a_minute(prefect_api: str, tmp_path: Path) -> None:
    """Nothing of this project runs any more; the automation on the server says it."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", "slow:100"]
    process = start_helios_job("run", write_job(tmp_path, make_job((5, 5), extra=words)))
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2)
    time.sleep(2)  # its first sign of life is on its way
    process.send_signal(signal.SIGKILL)
    process.communicate()
    body = {"flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}}, "sort": "START_TIME_DESC", "limit": 1}

    def found() -> list[Any]:
        answer = httpx.post(f"{prefect_api}/flow_runs/filter", json=body, headers=client_headers())
        return list(answer.raise_for_status().json())

    until(found, seconds=60)
    (run,) = found()
    assert run["parameters"]["job"] == str(tmp_path / "job.json")
    assert "Nothing was heard of the process" in run["state"]["message"]
