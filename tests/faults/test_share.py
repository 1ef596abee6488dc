"""The share of the fault bench that `make test-slow` runs; `make faults` runs the whole bench."""

import os
import subprocess
import sys

import pytest

from testbed.cloud.processes import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.timeout(3600)
def test_one_job_for_each_fault() -> None:
    """Each fault happens, and the job comes to its exact video: no frame, process, file or state is wrong."""
    said = bench("faults", "--share")
    assert "| **all** |" in said


@pytest.mark.timeout(3600)
def test_cancels_at_random_moments() -> None:
    """No process survives a cancel at a random moment."""
    assert " 0 survivors, " in bench("faults.cancels", "--jobs", "8")


def bench(module: str, *words: str) -> str:
    """Run a bench in a process of its own, with a server and a home of its own; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:]
    return done.stdout
