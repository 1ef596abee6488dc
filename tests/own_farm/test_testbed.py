"""The farm of the tests itself: nothing of it outlives the process that made it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil

from testbed.cloud.processes import ROOT
from tests.own_farm.test_deaths import until

OWNER = """
import sys, time
from pathlib import Path
from testbed.cloud.own_farm import own_farm
with own_farm(Path(sys.argv[1]), nodes=2, slots=1) as farm, farm.frozen("node-0"):
    print(farm.scheduler.pid, *(process.pid for name in farm.nodes for process in farm.all_of(name)), flush=True)
    time.sleep(600)
"""


async def test_a_farm_ends_with_its_process(tmp_path: Path) -> None:
    """A scheduler, a node and a node that was frozen end when the process that started them is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in (await asyncio.to_thread(owner.stdout.readline)).split()]
        assert len(pids) >= 3
        processes = [psutil.Process(pid) for pid in pids]
        assert [one.status() for one in processes].count(psutil.STATUS_STOPPED) >= 1
        owner.kill()
    await until(lambda: not any(one.is_running() for one in processes))
