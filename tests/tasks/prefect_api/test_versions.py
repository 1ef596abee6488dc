"""Which versions of Prefect's server can be worked with."""

import json
import logging

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from helios.errors import RequestError
from tasks.prefect_api.client import api_client
from tasks.prefect_api.server import check_server
from tasks.prefect_api.versions import advice, misfit
from testbed.http_server import answering


@pytest.mark.parametrize(
    ("server", "client", "fits", "is_advised"),
    [
        ("3.9.1", "3.9.1", True, False),
        ("3.9.0", "3.9.1", True, False),
        ("3.9.2+7.gabc.dirty", "3.9.1", True, False),
        ("3.10.0rc1", "3.9.1", True, True),
        ("3.8.8", "3.9.1", False, False),
        ("3.4.0", "3.10.0", False, False),
        ("2.20.1", "3.9.1", False, False),
        ("4.0.0", "3.9.1", False, True),
    ],
)
def test_two_versions(server: str, client: str, fits: bool, is_advised: bool) -> None:
    """A server has the same first number, and is not older in the first two; a newer one gets a hint."""
    problem = misfit(server, client)
    assert (problem is None) == fits
    assert problem is None or (server in problem and client in problem)
    assert (advice(server, client) is not None) == is_advised


async def test_a_run_on_an_older_server() -> None:
    """A run that was started without our commands refuses an older server before it renders."""

    def answer(*_: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/json"}, json.dumps("3.4.0").encode()

    with answering(answer) as url, temporary_settings({PREFECT_API_URL: f"{url}/api"}):
        async with api_client() as client:
            with pytest.raises(RequestError, match=r"is Prefect 3\.4\.0, and this is Prefect 3"):
                await check_server(client, logging.getLogger())
