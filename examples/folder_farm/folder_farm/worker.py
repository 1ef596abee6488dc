"""The callee's side: `python -m folder_farm.worker FOLDER` takes orders until it is stopped."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from folder_farm.orders import POLL_SECONDS, answer_of, prepare, read_order, write
from helios import HeliosError, WorkerJob, WorkerResult, WorkerUnavailableError
from helios.processes.command import run_command
from helios.processes.environment import clean_environment


async def work(folder: Path) -> None:
    """Carry out one order after the other."""
    prepare(folder)
    while True:
        for order in sorted((folder / "orders").glob("*.json")):
            taken = folder / "taken" / order.name
            try:
                order.rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster, or the order was taken back
            await _carry_out(folder, taken)
        await asyncio.sleep(POLL_SECONDS)


async def _carry_out(folder: Path, taken: Path) -> None:
    lines: list[tuple[str, str]] = []
    run = asyncio.create_task(_run(read_order(taken), lines))
    while not run.done():
        await asyncio.wait([run], timeout=POLL_SECONDS)
        try:
            os.utime(taken)
        except FileNotFoundError:
            run.cancel()
            await asyncio.wait([run])
    ended = WorkerUnavailableError("It was called off") if run.cancelled() else run.result()
    write(folder / "answers" / taken.name, answer_of(ended, lines))
    with suppress(FileNotFoundError):
        taken.unlink()


async def _run(job: WorkerJob, lines: list[tuple[str, str]]) -> WorkerResult | HeliosError:
    try:
        return await run_command(
            [job.command, *job.args],
            env={**clean_environment(), **job.env},
            cwd=job.cwd,
            timeout_seconds=job.timeout_seconds,
            stall_seconds=job.stall_seconds,
            output_file=Path(job.cwd or ".", job.output_file) if job.output_file else None,
            grace_seconds=1.0,
            on_output=lambda stream, line: lines.append((stream, line)),
        )
    except HeliosError as exc:
        return exc


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
