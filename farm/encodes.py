"""Give an encode to the workers of a deployment, who look at its source, too. See docs/api.md."""

from typing import Any

from prefect.client.orchestration import PrefectClient

from farm.dead_runs import mark_dead_runs
from farm.deployments import submit_run
from farm.finding import opened
from farm.masked import refuse_secrets
from farm.runs import RunStatus
from helios.models.report import RunState
from tasks.prefect_api.api import ENCODE_FLOW_NAME
from tasks.run.submitter import submitted_here


async def submit_encode(
    source: str,
    output_file: str,
    *,
    deployment: str = "local",
    queue: str | None = None,
    client: PrefectClient | None = None,
    **parameters: Any,
) -> RunStatus:
    """Give an encode to the workers of a deployment.

    Args:
        source: Path of the video; it must mean the same on the worker's machine.
        output_file: The video to write: a path, or a URL in storage.
        deployment: Its name, as in `encode/local`, or `local` alone.
        queue: The work queue. By default the deployment's.
        client: Prefect's, if one is open already.
        parameters: The other parameters of the flow `encode`, such as `codec` and `crf`.

    Returns:
        The run, which waits for a worker. The run of its job, which has the chunks, is below it.

    Raises:
        RequestError: There is no such deployment, a parameter is refused, or the adapter's settings hold secrets.
    """
    refuse_secrets([parameters.get("adapter")])
    given = {"source": source, "output_file": output_file, **parameters}
    async with opened(client) as prefect:
        await mark_dead_runs(prefect)
        run = await submit_run(prefect, deployment, given, flow=ENCODE_FLOW_NAME, queue=queue, tags=submitted_here(()))
    return RunStatus(run, RunState.PENDING, is_encode=True)
