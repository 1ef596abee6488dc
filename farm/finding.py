"""How the API finds a run: with Prefect's client, and dead runs marked before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_API_URL

from farm.dead_runs import mark_dead_runs
from farm.errors import ServerStartError
from farm.runs import RunStatus, find_job_or_batch, find_run
from farm.server.configured import check_once
from helios.errors import RequestError
from tasks.prefect_api.client import api_client

Run = str | UUID | RunStatus
"""A run: its id, its name, or what the API returned of it, which is then not looked up again."""


async def find(client: PrefectClient, run: Run, *, batches: bool = False) -> RunStatus:
    """Find a run, unless it is given as found; dead runs are marked before.

    Args:
        client: Prefect's.
        run: Its id or its name.
        batches: Whether it may be a batch's.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    if isinstance(run, RunStatus):
        return run
    await mark_dead_runs(client)
    return await (find_job_or_batch if batches else find_run)(client, str(run))


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
