"""Refuse a run that may not replace a video, before it renders anything."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from helios.errors import RequestError
from tasks.request.prepare import PreparedJob
from tasks.request.scheduled_time import is_scheduled

LABEL = "helios-render.output"
"""Label of the flow run: the video that the run may replace when it is retried, because it made it."""


async def check_overwrite(client: PrefectClient, run: FlowRun, job: PreparedJob, *, overwrite: bool | None) -> None:
    """Refuse a video that is there already, unless this run made it.

    Args:
        client: Prefect's client.
        run: The run.
        job: What the run renders.
        overwrite: Whether the run may replace a video; None: unless a schedule started the run.

    Raises:
        RequestError: There is such a video.
    """
    place = job.video_url or (str(job.output) if job.output else None)
    may_replace = not is_scheduled(run) if overwrite is None else overwrite
    if place is None or may_replace or run.labels.get(LABEL) == place:
        return
    if await _exists(job):
        raise RequestError(
            f"{place} is there already, and this run may not replace it; put {{date}} into the output's name, "
            "or allow it (--overwrite; parameter overwrite)"
        )
    await client.update_flow_run_labels(run.id, {LABEL: place})


async def _exists(job: PreparedJob) -> bool:
    if job.upload is not None:
        return await job.upload.storage.size(job.upload.key) is not None
    return job.output is not None and job.output.exists()
