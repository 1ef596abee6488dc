"""Remove runs that have ended from Prefect."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from farm.runs import RunStatus, is_alive
from helios.errors import RequestError
from tasks.prefect_api.states import ENDED


async def delete_run(client: PrefectClient, status: RunStatus) -> None:
    """Remove a run from Prefect: its chunks' task runs, its states, its log, and its artifacts in the UI.

    Its outputs stay; `farm.leftovers` removes what it left elsewhere.

    Raises:
        RequestError: It has not ended.
    """
    await refuse_unended(client, status)
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[status.run.id]))
    while artifacts := await client.read_artifacts(artifact_filter=of_run):
        for artifact in artifacts:
            await client.delete_artifact(artifact.id)
    await client.delete_flow_run(status.run.id)


async def refuse_unended(client: PrefectClient, status: RunStatus) -> None:
    """Refuse to delete a run that has not ended.

    Raises:
        RequestError: It has not.
    """
    if status.state not in ENDED or await is_alive(client, status):
        raise RequestError(f"The run {status.name} is {status.state}; cancel it first: helios-job cancel {status.id}")
