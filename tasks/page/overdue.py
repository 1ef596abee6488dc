"""Say that a job takes longer than it should: in its log, on its page, as an event of Prefect's, and by its webhook."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.events import emit_event

from helios.beside import beside
from helios.models.report_text import duration
from tasks.page.progress_text import describe
from tasks.page.webhook import OVERDUE, Webhook
from tasks.prefect_api.api import RunApi
from tasks.run.run import Run

EVENT = "helios-render.run.overdue"
"""An automation can wait for this event."""


@asynccontextmanager
async def overdue_notice(
    run: Run, seconds: float | None, *, name: str, webhook: Webhook | None, api: RunApi
) -> AsyncIterator[None]:
    """Within the block, say once that the run has taken longer than a number of seconds; never for None."""
    if seconds is None:
        yield
        return
    async with beside(_say_after(seconds, run, name=name, webhook=webhook, api=api)):
        yield


async def _say_after(seconds: float, run: Run, *, name: str, webhook: Webhook | None, api: RunApi) -> None:
    await asyncio.sleep(seconds)
    message = f"The job takes longer than the {duration(seconds)} that it should"
    words, identity = describe(run.progress.now), run.identity
    api.log.warning("%s: %s", message, words)
    run.progress.note(overdue_seconds=seconds)
    resource = {"prefect.resource.id": f"prefect.flow-run.{identity.run_id}", "prefect.resource.name": name}
    emit_event(event=EVENT, resource=resource, payload={"progress": words})
    if webhook is not None:
        data = {"runId": identity.run_id, "name": name, "state": "running", "message": message, "progress": words}
        message_id = webhook.message_id(identity.run_id, "overdue")
        await webhook.send(OVERDUE, message_id=message_id, data=data, log=api.log)
