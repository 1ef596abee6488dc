"""A run that may not overwrite a video claims its name before it renders anything."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from helios.errors import RequestError
from tasks.request.prepare import PreparedJob
from tasks.request.scheduled_time import is_scheduled

LABEL = "helios-render.output"
"""Of the flow run: the video that is its own to replace, when it is retried."""


async def claim_output(client: PrefectClient, run: FlowRun, job: PreparedJob, *, overwrite: bool | None) -> None:
    """Refuse a video that is there already, unless it is this run's own.

    Args:
        client: Prefect's.
        run: The run.
        job: What it makes.
        overwrite: Whether it may replace a video; None: unless a schedule started it.

    Raises:
        RequestError: There is such a video.
    """
    place = job.published.url if job.published else str(job.output) if job.output else None
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
    if job.published is not None:
        return await job.published.storage.size(job.published.key) is not None
    return job.output is not None and job.output.exists()
