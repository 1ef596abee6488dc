"""What a busy or absent API must not end is asked for again."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from tasks.prefect_api.api import UNREACHABLE
from tasks.prefect_api.patience import until_taken
from testbed.http_server import Answer, answering

ASKED: list[str] = []
LOG = logging.getLogger("tests.patience")


@pytest.fixture
def server() -> Iterator[str]:
    """A server that is too busy for its first three requests."""
    ASKED.clear()

    def answer(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        ASKED.append(path)
        return (503 if len(ASKED) <= 3 else 200), {}, b"here"

    with answering(answer) as url:
        yield url


async def ask(url: str) -> str:
    """One request."""
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).raise_for_status().text


async def test_a_busy_server_is_asked_again(server: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer comes once the server has time; the log says what waits, and why."""
    assert await until_taken(lambda: ask(server), what="row 3", log=LOG, pauses=[0.01] * 5) == "here"
    assert len(ASKED) == 4
    assert "row 3 waits for Prefect's API, which is asked again in 0.01 s: Server error '503" in caplog.text


async def test_patience_ends(server: str) -> None:
    """After the last pause, the error is the server's."""
    with pytest.raises(UNREACHABLE, match="503"):
        await until_taken(lambda: ask(server), what="row 3", log=LOG, pauses=[0.01] * 2)
    assert len(ASKED) == 3
