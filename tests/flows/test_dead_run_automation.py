"""Prefect's server itself notices that a run's process died, without any query."""

import signal
from pathlib import Path
from typing import Any

import pytest

from testbed.jobs import make_job, write_job
from tests.command import ask_api, start_helios_job, until


@pytest.mark.slow
def test_a_run_that_died_is_crashed(prefect_api: str, tmp_path: Path) -> None:
    """The server's automation marks a killed run as crashed while no process of this project runs."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", "slow:100"]
    process = start_helios_job("run", write_job(tmp_path, make_job((5, 5), extra=words)))
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2)

    def run() -> dict[str, Any]:
        newest = ask_api("POST", f"{prefect_api}/flow_runs/filter", {"sort": "START_TIME_DESC"})
        (found,) = [one for one in newest if one["parameters"].get("job") == str(tmp_path / "job.json")]
        return dict(found)

    own = {"event": {"prefix": ["helios-render.run."]}, "resource": {"id": [f"prefect.flow-run.{run()['id']}"]}}
    until(lambda: ask_api("POST", f"{prefect_api}/events/filter", {"filter": own, "limit": 1})["events"])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: run()["state"]["type"] == "CRASHED")
    assert "Nothing was heard of the process" in run()["state"]["message"]
