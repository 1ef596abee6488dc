"""Give a run another budget, before it goes on."""

from dataclasses import replace
from math import isfinite

from prefect.client.orchestration import PrefectClient

from farm.runs import RunStatus
from farm.watch import read_progress
from helios.errors import RequestError
from helios.models.cost_text import money
from tasks.prefect_api.states import ENDED


async def with_budget(client: PrefectClient, status: RunStatus, budget: float) -> RunStatus:
    """Put another budget among a run's parameters, as its page shows them, too.

    Args:
        client: Prefect's.
        status: The run.
        budget: What it may cost, with what it has spent already.

    Raises:
        RequestError: It is no amount, or has been spent already.
    """
    if not (isfinite(budget) and budget > 0):
        raise RequestError(f"A budget of {budget:g} lets nothing start (--budget); expected more than 0")
    progress = await read_progress(client, status.run)
    if progress is not None and progress.cost is not None and progress.cost >= budget and status.state not in ENDED:
        spent = money(progress.cost, progress.currency)
        raise RequestError(
            f"{status.name} has spent {spent} already, which a budget of {money(budget, progress.currency)} does not "
            "cover (--budget); expected more"
        )
    await client.update_flow_run(status.run.id, parameters={**status.run.parameters, "budget": budget})
    return replace(status, run=await client.read_flow_run(status.run.id))
