"""What a chunk costs, in counts that a busy machine does not change: no cost of a chunk grows with the job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.overhead import write_link_job
from testbed.cloud.processes import ROOT

FEW, MANY = 30, 300
PER_CHUNK = {
    "requests": 0.02,  # its states travel as events
    "events": 3.1,  # pending, running, completed
    "results": 1.02,  # the record of its acceptance
    "opens": 11.1,  # its record, two for the ends of its command's pipes, and eight of its line in the playlists
    "bytes": 1430.0,  # two thirds are its record, which says what it read and who rendered it; its times are 90
}
"""Upper bounds for each chunk; measured were 0, 3, 1, 11.0 and 1418."""


@pytest.fixture(scope="module")
def counts(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, int]]:
    """The counts of jobs of `FEW` and of `MANY` chunks, each rendered in a process of its own."""
    return {chunks: _count(prefect_api, tmp_path_factory.mktemp("job"), chunks) for chunks in (FEW, MANY)}


def _count(api: str, folder: Path, chunks: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.programs.counted_flow", str(write_link_job(folder, chunks))],
        cwd=ROOT, env={**os.environ, "PREFECT_API_URL": api}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert found["events"] >= 3 * chunks  # the counters work
    return found


@pytest.mark.parametrize("what", sorted(PER_CHUNK))
def test_a_further_chunk_costs_what_the_others_cost(counts: dict[int, dict[str, int]], what: str) -> None:
    """A further chunk costs less than a fixed bound, and ten times the chunks cost at most ten times as much."""
    few, many = counts[FEW].get(what, 0), counts[MANY].get(what, 0)
    assert (many - few) / (MANY - FEW) <= PER_CHUNK[what], counts
    assert many <= MANY // FEW * max(few, 1), counts
