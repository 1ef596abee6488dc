"""Cancel jobs at random moments, and measure how long their processes live: `python -m faults.cancels`."""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from prefect.states import Cancelling, Pending

from farm.dead_runs import mark_dead_runs
from faults import runner
from faults.farm import Farm, a_farm, is_alive, processes_of
from flows.render import render_job
from helios.models.report import RunState
from tasks.prefect_api.states import job_state

PROGRAM = Path(__file__).with_name("family.sh")
GRACE_SECONDS = 1.0
GIVE_UP_SECONDS = 30.0
LATEST_SECONDS = 2.5
"""A cancel comes within this many seconds of the launch."""


@dataclass(frozen=True)
class Cancelled:
    """The result of one cancel."""

    seed: int
    how: str
    begun: int
    """Commands that ran, each with four descendants."""
    seconds: float
    """From the cancel until the last process was gone."""
    survivors: int
    """Processes that lived longer than `GIVE_UP_SECONDS`."""
    state: RunState
    """The run's state in Prefect."""

    @property
    def is_good(self) -> bool:
        """Whether no process survived and the run is Cancelled, or still pending because no command had begun."""
        untouched = self.state is RunState.PENDING and not self.begun
        return not self.survivors and (self.state is RunState.CANCELLED or untouched)


async def cancel_one(seed: int, farm: Farm) -> Cancelled:
    """Launch a job, and cancel it."""
    dice = random.Random(seed)  # noqa: S311  not for secrets
    folder = farm.folder / f"cancel-{seed}"
    (folder / "notes").mkdir(parents=True)
    mark = f"HELIOS_FAULTS=cancel-{seed}-"
    name, _, value = mark.partition("=")
    chunks = [
        {"id": index, "startFrame": index, "frameCount": 1, "outputFile": f"{index}.mp4",
         "command": f"sh {PROGRAM} {folder / 'notes'} {index}.mp4"}
        for index in range(6)
    ]  # fmt: skip
    metadata = {"totalFrames": 6, "fps": 30, "width": 64, "height": 64, "duration": 1}
    (folder / "job.json").write_text(json.dumps({"metadata": metadata, "chunks": chunks}))
    parameters = {
        "job": str(folder / "job.json"),
        "concurrency": dice.randint(1, 4),
        "adapter": {"type": "local", "grace_seconds": GRACE_SECONDS, "env": {name: value}},
    }
    run = await farm.client.create_flow_run(render_job, parameters=parameters, state=Pending())
    process = farm.processes.Process(target=runner.run, args=(str(run.id), parameters, str(folder), {}))
    await asyncio.to_thread(process.start)
    flow = psutil.Process(process.pid or 0)
    await asyncio.sleep(dice.uniform(0, LATEST_SECONDS))
    how = dice.choice(("SIGTERM", "SIGINT", "API"))
    if how == "API":
        await farm.client.set_flow_run_state(run.id, Cancelling())
    else:
        flow.send_signal(signal.Signals[how])
    asked = time.monotonic()
    last = asked
    # The flow's process may be about to start a command, so it must have ended, too.
    while (left := processes_of(mark)) or is_alive(flow):
        last = time.monotonic() if left else last
        if time.monotonic() - asked > GIVE_UP_SECONDS:
            break
        await asyncio.sleep(0.02)
    survivors = len(left) + is_alive(flow)
    for one in [*left, flow]:
        with suppress(psutil.Error):
            one.kill()
    await asyncio.to_thread(process.join)
    await mark_dead_runs(farm.client)
    state = job_state((await farm.client.read_flow_run(run.id)).state)
    begun = len(list((folder / "notes").iterdir()))
    shutil.rmtree(folder)
    return Cancelled(seed, how, begun, last - asked, survivors, state)


async def cancel_all(seeds: range, *, at_once: int) -> list[Cancelled]:
    """Cancel a job for every seed, several at a time."""
    pending, found = iter(seeds), list[Cancelled]()
    async with a_farm(with_cloud=False) as farm:

        async def pull() -> None:
            for seed in pending:
                found.append(await cancel_one(seed, farm))
                if not found[-1].is_good:
                    print(found[-1], flush=True)

        await asyncio.gather(*(pull() for _ in range(at_once)))
    return found


def main() -> int:
    """Run the bench, and print its results."""
    parser = argparse.ArgumentParser(prog="python -m faults.cancels")
    parser.add_argument("--jobs", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--at-once", type=int, default=2, help="jobs at a time")
    words = parser.parse_args()
    # A shell starts a background job with SIGINT ignored, which every process of the bench would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seeds = range(words.first, words.first + words.jobs)
    found = asyncio.run(cancel_all(seeds, at_once=words.at_once))
    for how in ("SIGTERM", "SIGINT", "API"):
        if not (times := sorted(one.seconds for one in found if one.how == how)):
            continue
        print(f"{how}: {len(times)} cancels, median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s")
    times = sorted(one.seconds for one in found)
    states = Counter(str(one.state) for one in found)
    print(f"{len(found)} cancels of {sum(one.begun for one in found)} commands with 5 processes each, grace "
          f"{GRACE_SECONDS:g} s: {sum(one.survivors for one in found)} survivors, "
          f"p99 {times[len(times) * 99 // 100]:.2f} s, {dict(states)}")  # fmt: skip
    return 0 if all(one.is_good for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
