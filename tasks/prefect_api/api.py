"""Prefect's API and log as one run uses them, and what Prefect's client raises while the API is away."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.exceptions import PrefectHTTPStatusError

from tasks.prefect_api.log import RunLogger

T = TypeVar("T")

FLOW_NAME = "render-job"
"""Name of the flow in Prefect."""
RENDER_JOBS = FlowFilter(name=FlowFilterName(any_=[FLOW_NAME]))
"""Selects the runs and the deployments of this program's flow."""
BATCH_FLOW_NAME = "render-batch"
"""Name of the flow that has a job for each row of a table."""
RENDER_BATCHES = FlowFilter(name=FlowFilterName(any_=[BATCH_FLOW_NAME]))
"""Selects its runs."""
ENCODE_FLOW_NAME = "encode"
"""Name of the flow that looks at a source, and has a job that encodes it."""
ENCODES = FlowFilter(name=FlowFilterName(any_=[ENCODE_FLOW_NAME]))
"""Selects its runs."""
ABOVE_JOBS = FlowFilter(name=FlowFilterName(any_=[BATCH_FLOW_NAME, ENCODE_FLOW_NAME]))
"""Selects runs that have runs of jobs below them."""
UNREACHABLE = (httpx.HTTPError, PrefectHTTPStatusError, OSError)
"""What Prefect's client raises while the API is away."""
PAGE = 200
"""Objects in one answer: the most that Prefect's API gives."""


@dataclass(frozen=True)
class RunApi:
    """Prefect's client, and the log that people read."""

    client: PrefectClient
    """Talks to Prefect's API."""
    log: RunLogger
    """Takes what people should know of the run."""


def of_run(run_id: str | UUID) -> FlowRunFilter:
    """Select one flow run, for queries of its task runs and its state."""
    return FlowRunFilter(id=FlowRunFilterId(any_=[UUID(str(run_id))]))


async def each(read_page: Callable[[int], Awaitable[Sequence[T]]]) -> AsyncIterator[T]:
    """Read a query page by page.

    Args:
        read_page: Takes an offset, and returns at most `PAGE` objects from there on; none at the end.

    Yields:
        Every object, in the query's order.
    """
    offset = 0
    while page := await read_page(offset):
        offset += len(page)
        for item in page:
            yield item
