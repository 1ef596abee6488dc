"""Whether the server that carries a run is of a version that this program can work with."""

import prefect
from prefect.client.base import ServerType
from prefect.client.orchestration import PrefectClient

from helios.errors import RequestError
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.versions import advice, misfit


async def check_server(client: PrefectClient, log: RunLogger) -> None:
    """Refuse a server of another version at the start of a run, however the run was started.

    Raises:
        RequestError: The server's version does not fit.
    """
    if client.server_type is ServerType.CLOUD:  # which does not tell its version, and fits every client
        return
    version = await client.api_version()
    if problem := misfit(version, prefect.__version__):
        raise RequestError(
            f"The server at {client.api_url} {problem}; start a server, or a worker, of the same version"
        )
    if hint := advice(version, prefect.__version__):
        log.warning("The server at %s %s", client.api_url, hint)
