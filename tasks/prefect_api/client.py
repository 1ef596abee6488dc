"""Prefect's client for the server that is configured."""

from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL

from tasks.prefect_api.tls import tls_for


def api_client(**httpx_settings: Any) -> PrefectClient:
    """Make a client, to be entered with `async with`; it has Prefect's own settings but for those that are given."""
    tls = tls_for(str(PREFECT_API_URL.value() or ""))
    return get_client(httpx_settings=httpx_settings if tls is True else {"verify": tls, **httpx_settings})
