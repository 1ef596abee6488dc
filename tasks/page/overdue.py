"""Say that a job takes longer than it should: in its log, on its page, as an event of Prefect's, and by its webhook."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prefect.events import emit_event

from tasks.page.webhook import OVERDUE, Webhook
from tasks.prefect_api.log import RunLogger
from tasks.run.progress import duration
from tasks.run.run import JobRun

EVENT = "helios-render.run.overdue"
"""What an automation can wait for."""


@asynccontextmanager
async def overdue_is_told(
    run: JobRun, seconds: float | None, *, name: str, webhook: Webhook | None, logger: RunLogger
) -> AsyncIterator[None]:
    """Within the block, tell once when it has taken so many seconds; never for None."""
    if seconds is None:
        yield
        return
    watch = asyncio.create_task(_tell_after(seconds, run, name=name, webhook=webhook, logger=logger))
    try:
        yield
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def _tell_after(seconds: float, run: JobRun, *, name: str, webhook: Webhook | None, logger: RunLogger) -> None:
    await asyncio.sleep(seconds)
    message = f"takes longer than the {duration(seconds)} that it should"
    logger.warning("The job %s: %s", message, run.progress.description)
    run.progress.hold_up("overdue", message)
    resource = {"prefect.resource.id": f"prefect.flow-run.{run.run_id}", "prefect.resource.name": name}
    emit_event(event=EVENT, resource=resource, payload={"progress": run.progress.description})
    if webhook is not None:
        data = {"runId": run.run_id, "name": name, "state": "running", "message": f"The job {message}",
                "progress": run.progress.description}  # fmt: skip
        await webhook.send(OVERDUE, message_id=f"{run.run_id}-{run.token}-overdue", data=data, logger=logger)
