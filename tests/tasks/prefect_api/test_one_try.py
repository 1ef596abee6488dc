"""Within `one_try` a call of Prefect's API is one request, and its answer comes at once."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.prefect_api.one_try import FOR_ONE_TRY, one_try
from testbed.http_server import Answer, answering

ASKED: list[str] = []


@pytest.fixture
def busy_server() -> Iterator[str]:
    """A stand-in for Prefect's server while SQLite is busy."""
    ASKED.clear()

    def refuse(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        ASKED.append(path)
        return 503, {}, b'{"exception_message": "Service Unavailable"}'

    with answering(refuse) as url:
        yield f"{url}/api"


async def test_a_busy_server_says_so_at_once(busy_server: str) -> None:
    """A busy server's answer is raised at once; Prefect's client itself would first wait for two seconds."""
    # Without this setting the client would first ask for the server's version, and get the same answer.
    with temporary_settings({PREFECT_API_URL: busy_server, "client.server_version_check_enabled": False}):
        async with get_client(httpx_settings=FOR_ONE_TRY) as client:
            with one_try(), pytest.raises(httpx.HTTPStatusError, match="busy") as raised:
                await client.read_flow_run(uuid4())
    assert raised.value.response.json() == {"exception_message": "Service Unavailable"}
    assert len(ASKED) == 1


def test_the_settings_are_those_in_force() -> None:
    """`one_try` changes only the number of tries of the settings in force, even if these changed, and restores it."""
    before = PREFECT_CLIENT_MAX_RETRIES.value()
    for url in ("http://127.0.0.1:1/api", "http://127.0.0.1:2/api"):
        with temporary_settings({PREFECT_API_URL: url}):
            for _ in range(2):
                with one_try():
                    assert (PREFECT_API_URL.value(), PREFECT_CLIENT_MAX_RETRIES.value()) == (url, 0)
            assert PREFECT_CLIENT_MAX_RETRIES.value() == before
