"""Complete a request with what only Prefect knows: the time that a run was planned for, and saved configurations."""

from dataclasses import replace

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from tasks.request.blocks import all_without_blocks, without_blocks
from tasks.request.output_name import complete_name, has_placeholder
from tasks.request.request import RenderRequest
from tasks.request.scheduled_time import scheduled_time


async def complete(request: RenderRequest, client: PrefectClient, run: FlowRun) -> RenderRequest:
    """Put the run's time into the output's name, and what blocks hold into the adapters' configurations.

    Raises:
        RequestError: There is no such block, or no such placeholder.
    """
    output, merge_adapter = request.output_file, request.merge_adapter
    adapter = "local" if request.adapter in (None, "") else request.adapter
    if output is not None and has_placeholder(output):
        output = complete_name(output, await scheduled_time(client, run))
    return replace(
        request,
        adapter=await all_without_blocks(adapter),
        merge_adapter=None if merge_adapter is None else await without_blocks(merge_adapter),
        output_file=output,
    )
