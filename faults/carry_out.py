"""Run one job of the bench to its end, and check everything that it has left."""

import shutil
import time
from contextlib import suppress

import psutil

from faults.checks import check
from faults.disks import unmount
from faults.farm import processes_of
from faults.launches import launch_until_done, prepare
from faults.outcome import Outcome
from faults.trial import Trial


async def carry_out(trial: Trial) -> Outcome:
    """Launch the job until it is done, and check everything that it has left."""
    started = time.monotonic()
    try:
        await prepare(trial)
        await launch_until_done(trial)
        await check(trial)
    except Exception as exc:  # noqa: BLE001  a trial that fails is a finding of its own
        trial.outcome.problems.append(f"{type(exc).__name__}: {exc}")
    finally:
        for process in processes_of(trial.mark):
            with suppress(psutil.Error):
                process.kill()
        unmount(trial.directory)
        trial.outcome.duration_seconds = time.monotonic() - started
        if trial.outcome.is_good:
            shutil.rmtree(trial.folder, ignore_errors=True)
    return trial.outcome
