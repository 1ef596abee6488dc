"""What a run leaves beside its video and its chunks: objects in artifact storage, and its commands' whole output."""

import asyncio
import shutil

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from helios.errors import HeliosError
from tasks.request.blocks import all_without_blocks
from tasks.request.prepare import prepare
from tasks.request.request import RenderRequest
from tasks.run.lock import find_lock, lock_name
from tasks.run.record_keys import job_key


async def remove_leftovers(client: PrefectClient, run: FlowRun) -> list[str]:
    """Remove what a run that has ended left; the objects only if no other run works on its job.

    Returns:
        What was removed, and what could not be, a line each.
    """
    given, run_id, said = run.parameters, str(run.id), list[str]()
    try:
        adapter = await all_without_blocks(given.get("adapter") or "local")
        request = RenderRequest(given["job"], adapter=adapter, job_dir=given.get("job_dir"), merge=False)
        job = await asyncio.to_thread(prepare, request)
        logs = job.directory.logs(run_id)
        if logs.exists():
            await asyncio.to_thread(shutil.rmtree, logs)
            said.append(f"its commands' output is removed: {logs}")
        key = job_key(job.spec, run_id)
        if await find_lock(client, lock_name(key)) is not None:
            said.append("its objects in storage stay: another run renders the job")
        elif removed := sum([await place.site.clean(key, always=True) for place in job.places]):
            said.append(f"{removed} objects are removed from storage")
    except (HeliosError, OSError) as exc:
        said.append(f"what it may have left in storage stays there: {exc}")
    return said
