"""The flows' deployments, and how a job is given to one."""

from collections.abc import Collection, Mapping
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Scheduled, to_state_create

from farm.server.answers import describe_answer
from helios.errors import RequestError
from tasks.prefect_api.api import ENCODE_FLOW_NAME, ENCODES, FLOW_NAME, RENDER_JOBS

LONGEST_ANSWER = 1000
"""Characters of a refusal that an error quotes: it may name several parameters."""


async def submit_run(
    client: PrefectClient,
    deployment: str,
    parameters: Mapping[str, Any],
    *,
    flow: str = FLOW_NAME,
    queue: str | None = None,
    tags: Collection[str] = (),
) -> FlowRun:
    """Give a job to the workers of a deployment.

    Args:
        client: Prefect's.
        deployment: Its name, as in `render-job/local`, or `local` alone.
        parameters: The flow's parameters; the deployment has the others.
        flow: The flow of a deployment that is named without one.
        queue: The work queue. By default the deployment's.
        tags: The flow run's.

    Returns:
        The run, which waits for a worker.

    Raises:
        RequestError: There is no such deployment, or a parameter is refused; says which.
    """
    full = deployment if "/" in deployment else f"{flow}/{deployment}"
    try:
        found = await client.read_deployment_by_name(full)
    except (ObjectNotFound, ValueError):
        known = ", ".join(f"{name}/{one.name}" for name, one in await list_deployments(client))
        there_are = f"there are {known}" if known else "helios-job up, or prefect deploy --all, makes them"
        raise RequestError(f"There is no deployment {full}; {there_are}") from None
    try:
        answer = await client.request(
            "POST",
            "/deployments/{id}/create_flow_run",
            path_params={"id": found.id},
            json=_order(parameters, queue, tags).model_dump(mode="json", exclude_unset=True),
        )
    except PrefectHTTPStatusError as exc:
        if exc.response.status_code not in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            raise
        said = describe_answer(exc.response, longest=LONGEST_ANSWER)
        raise RequestError(f"The deployment {full} refuses the job: {said}") from None
    return FlowRun.model_validate(answer.json())


def _order(parameters: Mapping[str, Any], queue: str | None, tags: Collection[str]) -> DeploymentFlowRunCreate:
    """The request for a run, whose parameters the server is to check although the deployment does not ask for it."""
    order = DeploymentFlowRunCreate(
        state=to_state_create(Scheduled()), parameters=dict(parameters), enforce_parameter_schema=True
    )
    changes = {"work_queue_name": queue, "tags": list(tags)}
    return order.model_copy(update={name: value for name, value in changes.items() if value})


async def list_deployments(client: PrefectClient) -> list[tuple[str, DeploymentResponse]]:
    """The deployments of jobs and of encodes, each with its flow's name, by name."""
    by_name = DeploymentSort.NAME_ASC
    return [
        (flow, one)
        for flow, of_flow in ((FLOW_NAME, RENDER_JOBS), (ENCODE_FLOW_NAME, ENCODES))
        for one in await client.read_deployments(flow_filter=of_flow, sort=by_name)
    ]
