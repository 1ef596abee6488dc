"""What an own farm promises in seconds, measured while a fault strikes; what takes longer is a problem of the job."""

import asyncio
import time
from collections.abc import Sequence

from faults.farm import processes_of
from faults.scenario import Fault
from faults.stage import Stage

DEATH_SECONDS, SILENCE_SECONDS = 5.0, 30.0
"""A chunk of a node that is dead, or says nothing, begins elsewhere within these."""
DEATHS = (Fault.KILL_NODE, Fault.KILL_NODE_GUARDIAN, Fault.KILL_MACHINE)
SILENCES = (Fault.FREEZE_NODE, Fault.CUT_NODE)
CANCEL_SECONDS = 1.0 + 3.0
"""A cancelled command's last process is gone within these: the grace period of the bench's nodes, and three seconds."""
POLL_SECONDS = 0.05


async def watch_elsewhere(stage: Stage, fault: Fault, chunks: Sequence[int]) -> None:
    """Measure how long chunks take that a struck node rendered to begin again, until the launch's end."""
    trial, struck = stage.trial, time.monotonic()
    limit = (DEATH_SECONDS if fault in DEATHS else SILENCE_SECONDS) * trial.patience
    before, waiting = trial.executed(), set(chunks)
    while waiting and not stage.ended.is_set():
        await asyncio.sleep(POLL_SECONDS)
        begun = waiting & trial.begun_since(before)
        waiting -= begun
        seconds = time.monotonic() - struck
        trial.outcome.elsewhere += [(fault, seconds) for _ in begun]
        if seconds > limit:
            trial.outcome.problems += [f"chunk {chunk} began elsewhere after {seconds:.1f} s" for chunk in begun]


async def watch_cancel(stage: Stage) -> None:
    """Measure how long a cancelled job's processes live on its nodes."""
    trial, asked = stage.trial, time.monotonic()
    limit, last = CANCEL_SECONDS * trial.patience, asked
    while (found := processes_of(trial.mark)) or not stage.ended.is_set():
        if found:
            last = time.monotonic()
        if last - asked > limit:
            trial.outcome.problems.append(f"commands were not ended {limit:g} s after the cancel")
            return
        await asyncio.sleep(POLL_SECONDS)
    trial.outcome.cancel_seconds.append(last - asked)
