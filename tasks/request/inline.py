"""What a worker of Prefect takes from the parameters of a run: a choice of who starts the worker, not of the caller.

A document in the parameters is a command line of the caller's, and so are an adapter's settings, which name variables
and values. Where other people can make runs, a worker takes neither: documents come from files or addresses, settings
from the deployment or from saved blocks. `helios-job up` allows both, since its server lets in its own user alone.

The variables are the worker's. What a run's `job_variables` would set in its process is refused by the worker itself.
"""

import os
from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from helios.errors import RequestError
from helios.variables import ALLOW_INLINE
from helios.worker.settings import WorkerSettings

YES, NO = {"1", "yes", "true", "on"}, {"", "0", "no", "false", "off"}
GIVEN = {"job": "job document", "adapter": "adapter settings", "merge_adapter": "adapter settings"}
"""Parameters that can hold more than a name."""
PREFIXES = "HELIOS_JOB_PREFIXES"


def allows_inline(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether documents and adapter settings are taken from parameters; not unless the worker's environment says so.

    Raises:
        RequestError: The variable has neither of its values.
    """
    text = environment.get(ALLOW_INLINE, "").strip().lower()
    if text not in YES | NO:
        raise RequestError(f"{ALLOW_INLINE} is {text!r}; expected yes or no")
    return text in YES


async def check_inline(client: PrefectClient, run: FlowRun) -> None:
    """Refuse what the caller of a deployment's run may not give, on the worker that carries the run out.

    A run below it is made by this program, of what was checked.

    Raises:
        RequestError: Says what to give instead.
    """
    place = run.parameters.get("job", run.parameters.get("source"))
    if os.environ.get(PREFIXES) and isinstance(place, str):
        WorkerSettings.from_environment().check_place(place)
    given = {name for name in GIVEN if _holds_more(run.parameters.get(name))}
    if not given or allows_inline():
        return
    said = await _deployed(client, run)
    for name in sorted(given):
        if run.parameters[name] != said.get(name):
            raise RequestError(
                f"This worker takes no {GIVEN[name]} from a run's parameters ({name}): name a file, an address or a "
                f"saved block; or set {ALLOW_INLINE}=yes where the worker is started, if all who make runs may run "
                "commands there (docs/security.md)"
            )


def _holds_more(value: object) -> bool:
    """Whether a parameter is more than names: of a list of adapters, whether the settings of one are."""
    if isinstance(value, list):
        return any(_holds_more(entry.get("adapter", entry) if isinstance(entry, Mapping) else entry) for entry in value)
    return isinstance(value, Mapping)


async def _deployed(client: PrefectClient, run: FlowRun) -> Mapping[str, Any]:
    """The parameters that a run's deployment says."""
    if run.deployment_id is None:
        return {}
    try:
        return (await client.read_deployment(run.deployment_id)).parameters
    except ObjectNotFound:
        return {}
