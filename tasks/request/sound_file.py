"""Prepare a job, and try out its sound file where that can be ended: it may be a stranger's."""

import asyncio

from helios.errors import OutputError, RequestError
from helios.media.bounds import MOMENT_SECONDS, within
from helios.media.joined_sound import check_sound_file
from helios.processes.reader import run_apart
from tasks.request.prepare import PreparedJob, prepare
from tasks.request.request import RenderRequest


async def prepare_job(request: RenderRequest) -> PreparedJob:
    """Check a request from end to end, as `prepare` does, and its sound file.

    Raises:
        RequestError: Something can't work; says what, and what to do.
        WorkerUnavailableError: The job's URL, or storage, did not answer.
    """
    job = await asyncio.to_thread(prepare, request)
    await _check_sound(job)
    return job


async def _check_sound(job: PreparedJob) -> None:
    """Refuse a sound file that can't be put into the job's video."""
    order, metadata = job.sound, job.spec.metadata
    if order.file is None or job.output is None:
        return
    bounds = within(MOMENT_SECONDS, width=metadata.width, height=metadata.height)
    try:
        await run_apart(check_sound_file, order, job.output, bounds=bounds, name=order.file.name)
    except OutputError as exc:  # it took too much
        raise RequestError(f"{exc}; expected a sound file (--audio)") from exc
