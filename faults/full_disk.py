"""Fill a disk to the last byte, and empty it after a while."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from faults.stage import Stage

ATTEMPTS = 30
"""How often a command may run that meets a full disk."""


async def fill(stage: Stage, folder: Path, *, seconds: float) -> bool:
    """Fill the disk that is mounted at a folder; whether a byte of it was free."""
    trial = stage.trial
    ballast = folder / "ballast"
    filled = 0
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            filled += file.write(bytes(65536))
    began = sum(1 for _ in trial.notes.glob("*.begun"))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stage.ended.is_set():
        await asyncio.sleep(0.02)
    ballast.unlink()
    # Every command that ran meanwhile may have failed because of the full disk, once for each attempt.
    if sum(1 for _ in trial.notes.glob("*.begun")) > began:
        for chunk in trial.due:
            trial.due[chunk] += ATTEMPTS
    for chunk in trial.begun_not_ended():
        trial.due[chunk] += 1
    return filled > 0
