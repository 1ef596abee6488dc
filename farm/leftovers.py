"""What a run leaves beside its video and its chunks: objects in artifact storage, and its commands' whole output."""

import asyncio
import shutil

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from helios.adapter import StorageAdapter
from helios.errors import HeliosError
from tasks.request.blocks import without_blocks
from tasks.request.prepare import prepare_job
from tasks.run.accepted import job_key
from tasks.run.lock import PREFIX, find_hold
from tasks.site.storage import job_folder


async def remove_leftovers(client: PrefectClient, run: FlowRun) -> list[str]:
    """Remove what a run that has ended left; the objects only if no other run works on its job.

    Returns:
        What was removed, and what could not be, a line each.
    """
    given, run_id, said = run.parameters, str(run.id), list[str]()
    try:
        adapter = await without_blocks(given.get("adapter")) or "local"
        job = await asyncio.to_thread(
            prepare_job, given["job"], adapter=adapter, job_dir=given.get("job_dir"), merge=False
        )
        logs = job.directory.logs(run_id)
        if logs.exists():
            await asyncio.to_thread(shutil.rmtree, logs)
            said.append(f"its commands' output is removed: {logs}")
        if isinstance(job.adapter, StorageAdapter):
            key = job_key(job.spec, run_id)
            if await find_hold(client, f"{PREFIX}{key}") is not None:
                said.append("its objects in storage stay: another run works on the job")
            elif removed := await job.adapter.storage.delete_folder(job_folder(key)):
                said.append(f"{removed} objects are removed from storage")
    except (HeliosError, OSError) as exc:
        said.append(f"what it may have left in storage stays there: {exc}")
    return said
