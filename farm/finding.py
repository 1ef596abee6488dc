"""How the API finds a run: with Prefect's client, and dead runs marked before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_API_URL

from farm.batch_rows import runs_below
from farm.dead_runs import mark_dead_runs
from farm.errors import ServerStartError
from farm.runs import RunStatus, find_job_or_batch, find_run
from farm.server.configured import check_once
from helios.errors import RequestError
from tasks.prefect_api.client import api_client
from tasks.prefect_api.states import job_state

Run = str | UUID | RunStatus
"""A run: its id, its name, or what the API returned of it, which is then not looked up again."""


async def find(client: PrefectClient, run: Run, *, jobs_alone: bool = False) -> RunStatus:
    """Find a run of a job, of a batch or of an encode, unless it is given as found; dead runs are marked before.

    Args:
        client: Prefect's.
        run: Its id or its name.
        jobs_alone: Whether it has to be a job's.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    if isinstance(run, RunStatus):
        return run
    await mark_dead_runs(client)
    return await (find_run if jobs_alone else find_job_or_batch)(client, str(run))


async def with_chunks(client: PrefectClient, run: Run) -> RunStatus:
    """The run that has the chunks: of an encode, that of its job, once it has begun; else the run itself.

    Raises:
        RequestError: As `find`.
    """
    found = await find(client, run)
    if not found.is_encode:
        return found
    below = [one async for one in runs_below(client, found.run)]
    return RunStatus(below[-1], job_state(below[-1].state)) if below else found


@asynccontextmanager
async def opened(client: PrefectClient | None) -> AsyncIterator[PrefectClient]:
    """Have Prefect's client within the block: the given one, or a new one of the configured server.

    Raises:
        RequestError: None is given, and no server is configured, or the configured one can't be used.
    """
    if client is not None:
        yield client
        return
    if not (url := PREFECT_API_URL.value()):
        raise RequestError(
            "No Prefect server is configured; set PREFECT_API_URL, as in http://127.0.0.1:4200/api, or run within "
            "`with farm.prefect_server():`, which finds that of helios-job up, or starts one"
        )
    try:
        await asyncio.to_thread(check_once, str(url))
    except ServerStartError as exc:
        raise RequestError(str(exc)) from None
    async with api_client() as new:
        yield new
