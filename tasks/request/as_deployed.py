"""A field that nobody filled in means: as the deployment says.

Prefect merges a run's parameters over those of its deployment. The forms of its UI send null for every optional field
that is not filled in, and a schedule, an automation or a program may do so too: without this module each null would
hide what the deployment says.
"""

from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

VIDEO_ONLY = ("output_file", "audio_file", "audio_codec", "fragments", "brand", "metadata")
"""What a request that joins nothing has no use for."""


def is_empty(value: object) -> bool:
    """Whether a field was not filled in: null, an empty text, or a list of nothing."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


async def as_deployed(client: PrefectClient, run: FlowRun, *, is_joined: bool) -> dict[str, Any]:
    """What a run's deployment says for the parameters that the run has empty, not validated.

    Args:
        client: Prefect's client.
        run: The run.
        is_joined: Whether the request is for a video. If not, the deployment's video stays out of it.
    """
    empty = [name for name, value in run.parameters.items() if is_empty(value)]
    if not empty or run.deployment_id is None:
        return {}
    try:
        deployment = await client.read_deployment(run.deployment_id)
    except ObjectNotFound:
        return {}
    said: Mapping[str, Any] = deployment.parameters
    return {
        name: said[name] for name in empty if not is_empty(said.get(name)) and (is_joined or name not in VIDEO_ONLY)
    }
