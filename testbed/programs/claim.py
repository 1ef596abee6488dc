"""Claim the outputs of jobs, one after the other, and keep them until standard input ends.

python -m testbed.programs.claim PROCESSES JOB...

Prints `claimed` or the refusal for each process and each job, as lines of JSON: [PROCESS, JOB, WORDS]. With 0 processes
this process claims and then forks a child, which has all of its open files; the last line is the child's process id.
"""

import asyncio
import json
import logging
import os
import sys
import time
from contextlib import AsyncExitStack

from helios.errors import RequestError
from tasks.request.prepare import PreparedJob, prepare
from tasks.request.request import RenderRequest
from tasks.run.lock_owner import LockOwner
from tasks.run.output_claims import claimed_outputs


async def claim(number: int, jobs: list[PreparedJob], *, forks: bool = False) -> None:
    """Claim the jobs' outputs, and wait for the end of standard input."""
    holder = LockOwner.this_process(job="other", run_id=f"run-{os.getpid()}", run_name="bold-owl")
    async with AsyncExitStack() as claims:
        for index, job in enumerate(jobs):
            words = "claimed"
            try:
                await claims.enter_async_context(claimed_outputs(job, holder, logging.getLogger()))
            except RequestError as exc:
                words = str(exc)
            os.write(1, json.dumps([number, index, words]).encode() + b"\n")  # whole: lines of processes don't mix
        if forks:
            if (child := os.fork()) == 0:
                time.sleep(600)  # noqa: ASYNC251
            print(child, flush=True)
        sys.stdin.read()


def main() -> None:
    """Claim in the given number of processes, which begin at the same time."""
    processes, *documents = sys.argv[1:]
    jobs = [prepare(RenderRequest(document)) for document in documents]
    if processes == "0":
        asyncio.run(claim(0, jobs, forks=True))
        return
    begin = time.monotonic() + 0.2
    for number in range(1, int(processes)):
        if os.fork() == 0:
            _claim_at(begin, number, jobs)
            return
    _claim_at(begin, 0, jobs)


def _claim_at(begin: float, number: int, jobs: list[PreparedJob]) -> None:
    while time.monotonic() < begin:
        pass
    asyncio.run(claim(number, jobs))


if __name__ == "__main__":
    main()
