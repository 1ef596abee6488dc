"""Take and give up a run's lock, with patience: for an earlier process of the run, and for Prefect's API."""

import asyncio
import time
from contextlib import suppress

from prefect.exceptions import Abort

from tasks.prefect_api import own_server
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.one_try import one_try
from tasks.run.liveness import LOOK_SECONDS, OWN_END_SECONDS
from tasks.run.lock import JobLock, JobLockedError

REACH_SECONDS = 6 * 3600.0
"""How long the end of a run waits for Prefect's API, to write its last states."""
REACH_PAUSE_SECONDS = 5.0
RELEASE_TRIES = 5


async def acquire(lock: JobLock, api: RunApi) -> None:
    """Take the lock; wait for the end of an earlier process of this run that was suspended.

    Raises:
        JobLockedError: Another run has it.
        Abort: The earlier process goes on.
    """
    deadline, said = time.monotonic() + OWN_END_SECONDS, False
    while True:
        try:
            return await lock.acquire()
        except JobLockedError as exc:
            if exc.owner.run_id != lock.owner.run_id:
                raise
            if not exc.owner.is_suspended or time.monotonic() >= deadline:
                api.log.error("Not started a second time: %s", exc)
                raise Abort(str(exc)) from None
            if not said:
                api.log.info("Waiting for the end of this run's earlier process, %s", exc.owner)
                said = True
        await asyncio.sleep(LOOK_SECONDS)


async def release(lock: JobLock, api: RunApi) -> None:
    """Give the lock up, in a few tries. A lock left behind expires, or is removed by the next command."""
    for _ in range(RELEASE_TRIES):
        await until_reachable(api)
        with suppress(*UNREACHABLE), one_try():
            await lock.release()
            return


async def until_reachable(api: RunApi) -> None:
    """Wait until Prefect's API answers, so that a run's end can be written there; not for a server that is gone."""
    deadline, said = time.monotonic() + REACH_SECONDS, False
    with one_try():
        while time.monotonic() < deadline and not own_server.is_gone():
            if await api.client.api_healthcheck() is None:
                return
            if not said:
                api.log.warning("The run is at its end; waiting for Prefect's API, to say so")
                said = True
            await asyncio.sleep(REACH_PAUSE_SECONDS)
