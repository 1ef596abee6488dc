"""A batch that has ended is read and deleted by its name, with its rows."""

import json
from pathlib import Path

import pytest

from tests.command import here, said
from tests.flows.test_batch import write_batch

pytestmark = pytest.mark.usefixtures("prefect_api")


def test_wait_logs_delete(tmp_path: Path) -> None:
    """`wait` says what became of each row, of a failed one too; `logs` has the rows' lines; `delete` removes all."""
    template, table = write_batch(tmp_path, [{"name": "A", "fault": ""}, {"name": "B", "fault": "no-output"}])
    output = str(tmp_path / "out" / "{name}.mp4")
    done = here("batch", template, table, "--output", output, "--retries", 0, "--json")
    report = json.loads(done.stdout)
    batch = report["runId"]
    waited = here("wait", batch, "--json")
    assert (done.returncode, waited.returncode) == (1, 1)
    assert "1 of 2 rows failed" in waited.stderr
    rows = json.loads(waited.stdout)["rows"]
    assert [(row["row"], row["state"], row.get("output")) for row in rows] == [
        (1, "completed", str(tmp_path / "out" / "A.mp4")), (2, "failed", None),
    ]  # fmt: skip
    lines = said("logs", batch).splitlines()
    assert any("row 1: Done: 7 frames" in line for line in lines)
    assert any("1 of 2 rows failed" in line and "row 2: " not in line.split("rows")[0] for line in lines)
    answer = said("delete", batch)
    assert "is deleted" in answer
    for run in (batch, rows[0]["runId"], rows[1]["runId"]):
        assert run in answer
        assert here("status", run).returncode == 2
    assert (tmp_path / "out" / "A.mp4").exists()
