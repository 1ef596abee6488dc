"""A flow's process ends in order when the Prefect worker that started it dies, and on SIGTERM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cloud.processes import ROOT
from testbed.jobs import make_job, write_job
from tests.command import until

PROGRAM = """
import asyncio, pathlib, sys
from tasks.run.termination import on_worker_death

async def main(told):
    asked = asyncio.Event()
    with on_worker_death(asked.set):
        pathlib.Path(told, "watching").touch()
        await asyncio.wait_for(asked.wait(), float(sys.argv[2]))
    pathlib.Path(told, "asked").touch()
    print("to nobody", flush=True)  # no error, since nobody could tell anybody of it
    pathlib.Path(told, "printed").touch()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["before it looks", "while it runs"])
def test_a_worker_that_died(tmp_path: Path, moment: str) -> None:
    """A worker's death is noticed, whether it happens while the flow's process starts or later."""
    # The worker starts the flow's process, and dies at once, or when the flow's process is at work.
    pause = "" if moment == "before it looks" else f"while not os.path.exists({str(tmp_path / 'watching')!r}): pass"
    worker = f"""
import os, subprocess, sys
flow = [sys.executable, "-c", {PROGRAM!r}, {str(tmp_path)!r}, "120"]
subprocess.Popen(flow, stdout=subprocess.PIPE, start_new_session=True)
{pause}
os._exit(0)
"""
    # The flow's standard error stays connected to the test, which waits for its end.
    done = subprocess.run(
        [sys.executable, "-c", worker],
        cwd=ROOT, env={**os.environ, "PREFECT__FLOW_RUN_ID": "1"}, stderr=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    until((tmp_path / "printed").exists)


def test_a_process_of_no_worker(tmp_path: Path) -> None:
    """A process that no worker started ignores broken pipes."""
    reading, writing = os.pipe()
    os.close(reading)
    started = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), "2"], cwd=ROOT, stdout=writing,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(writing)
    # A worker's process would notice the broken pipes in the first turn of its event loop; this one had two seconds.
    assert started.wait(120) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["watching"]


def test_sigterm_in_a_callback_before_the_flow_has_begun(prefect_api: str, tmp_path: Path) -> None:
    """A SIGTERM in a callback cancels the run, although the event loop swallows what Prefect's handler raises there."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
    path = write_job(tmp_path, make_job([5] * 2, extra=words))
    program = f"""
import asyncio, os, signal
from prefect.flow_engine import AsyncFlowRunEngine
from cli.flow_process import run_job

begin = AsyncFlowRunEngine.begin_run

async def struck(self):
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)
    return await begin(self)

AsyncFlowRunEngine.begin_run = struck
print(run_job({{"job": {str(path)!r}}}, title="")[0])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    assert done.stdout.splitlines()[-1] == "cancelled", done.stdout
    assert list((tmp_path / "notes").iterdir()) == []
