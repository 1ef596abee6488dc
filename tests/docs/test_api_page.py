"""The examples of docs/api.md, each run as a reader runs it: saved under the name in its first line."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import start_helios_job
from tests.test_deployment import make_deployment

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.+?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.M))
ON_A_FARM = ("submit_and_wait.py", "look_around.py")


def run_example(folder: Path, name: str) -> str:
    """Save all examples into a folder, run one there, and return what it prints."""
    for other, text in EXAMPLES.items():
        (folder / other).write_text(text, encoding="utf-8")
    command = [sys.executable, "-W", "error::SyntaxWarning", name]
    if name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def worker(prefect_api: str) -> Iterator[None]:
    """A worker of the deployment `render-job/local`."""
    asyncio.run(make_deployment("local", pool="api-page"))
    process = start_helios_job("worker", "--pool", "api-page", env={"PREFECT_API_URL": prefect_api, **os.environ})
    yield
    process.terminate()
    process.communicate(timeout=300)


def test_every_example_is_run() -> None:
    """Every example names a file in its first line, and has a test."""
    assert len(EXAMPLES) == PAGE.read_text(encoding="utf-8").count("```python\n")
    assert set(EXAMPLES) == {*ON_A_FARM, "polite.py", "test_polite.py", "fake.py"}


@pytest.mark.slow  # tests/farm/test_api.py has what the examples call
@pytest.mark.usefixtures("worker")
def test_submit_wait_and_look_around(tmp_path: Path) -> None:
    """The examples submit a job, wait for it, and query it; its video is exact."""
    write_job(tmp_path, make_job([5] * 3))
    said = run_example(tmp_path, "submit_and_wait.py")
    assert said.splitlines()[-1] == f"completed: {tmp_path}/video.mp4"
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))
    said = run_example(tmp_path, "look_around.py")
    assert re.search(r"^chunk-0: Completed, 1 attempt\(s\), \d", said, re.M)
    assert "Done: 15 frames in 3 chunks" in said
    assert said.splitlines()[-1].endswith("is completed already; there is nothing to cancel")


def test_an_adapter(tmp_path: Path) -> None:
    """The page's adapter runs a command, and hands its lines to the sink."""
    lines = run_example(tmp_path, "polite.py").splitlines()
    assert lines[0] == "stdout: to be or not"
    assert re.fullmatch(r"exit code 0 after \d+ ms", lines[1])


@pytest.mark.slow
def test_the_contract_suite(tmp_path: Path) -> None:
    """The page's adapter keeps the whole contract."""
    assert re.search(r"^\d+ passed", run_example(tmp_path, "test_polite.py"), re.M)


def test_the_fake_adapter(tmp_path: Path) -> None:
    """The example's handler answers, and the fake adapter counts its jobs."""
    assert run_example(tmp_path, "fake.py") == "[1, 0] 2 1\n"
