"""A mistake in PREFECT_API_URL and its companions is one message, before anything runs."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prefect
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, PREFECT_CLOUD_API_URL
from prefect.settings import temporary_settings as settings

import farm
from farm.errors import ServerStartError
from farm.server import configured
from farm.server.configured import check_configured
from helios.errors import RequestError
from testbed.http_server import Answer, answering
from testbed.jobs import make_job, write_job
from tests.command import said

HTML = 200, {"content-type": "text/html"}, b"<!DOCTYPE html><title>Prefect</title>"
MAJOR, MINOR = (int(number) for number in prefect.__version__.split(".")[:2])
OLDER, NEWER = f"{MAJOR}.{MINOR - 1}.7", f"{MAJOR}.{MINOR + 1}.0"


@pytest.fixture(autouse=True)
def _no_credential() -> Iterator[None]:
    """That of the tests' own server is not sent."""
    with settings({PREFECT_API_AUTH_STRING: ""}):
        yield


def version(text: str) -> Answer:
    """The answer of a Prefect server of a version."""
    return 200, {"content-type": "application/json"}, json.dumps(text).encode()


@contextmanager
def a_server(answer: Answer) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives one answer below /api, and a page elsewhere; its API's address, and the headers it got."""
    heard: list[dict[str, str]] = []

    def respond(_method: str, path: str, headers: dict[str, str], _body: bytes) -> Answer:
        heard.append(headers)
        return answer if path.startswith("/api/") else HTML

    with answering(respond) as url:
        yield f"{url}/api", heard


def problem_of(url: str) -> str:
    """What is wrong with an address."""
    with pytest.raises(ServerStartError) as raised:
        check_configured(url)
    return str(raised.value)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (version(OLDER), f"is Prefect {OLDER}, and this is Prefect {prefect.__version__}: a server must have the same "
                         "first number, and not be older; start a server of this version there"),
        (version(f"{MAJOR - 1}.20.1"), f"is Prefect {MAJOR - 1}.20.1, and this is"),
        (version(f"{MAJOR + 1}.0.0"), f"is Prefect {MAJOR + 1}.0.0, and this is"),
        (version("ok"), "is not the address of a Prefect API: it answered 200 application/json instead of a version"),
        (HTML, "it answered 200 text/html instead of a version"),
        ((401, {}, b""), "wants a credential (401 Unauthorized); set PREFECT_API_AUTH_STRING"),
        ((404, {}, b""), "is not the address of a Prefect API: it answered 404"),
        ((502, {}, b""), "answers 502"),
        ((308, {"location": "https://farm.example/api/admin/version"}, b""), "leads to https://farm.example/api; set"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_a_server_of_ours(answer: Answer, says: str) -> None:
    """What answers instead of a server of this version is named, and what to do."""
    with a_server(answer) as (url, _):
        message = problem_of(url)
    assert says in message
    assert url in message


def test_servers_that_can_be_used(caplog: pytest.LogCaptureFixture) -> None:
    """The third number makes no difference; a newer server gets a warning; a slash at the end does no harm."""
    for found, warnings in ((f"{MAJOR}.{MINOR}.0", 0), (f"{MAJOR}.{MINOR}.99+4.gabcdef", 0), (NEWER, 1)):
        caplog.clear()
        with a_server(version(found)) as (url, _), caplog.at_level(logging.WARNING):
            check_configured(f"{url}/")
        assert len(caplog.records) == warnings
    assert f"is Prefect {NEWER}, which is newer than this Prefect {prefect.__version__}" in caplog.text


def test_addresses_that_are_none() -> None:
    """An address without its scheme, of no server, of the UI, or with TLS on a port without it, is named as such."""
    assert "127.0.0.1:4200/api does not begin with http:// or https://" in problem_of("127.0.0.1:4200/api")
    for url in ('"http://farm:4200/api"', " http://farm:4200/api\n"):
        assert problem_of(url).endswith("which are taken for parts of it; set it to http://farm:4200/api")
    assert "does not answer ([Errno 111] Connection refused); start it" in problem_of("http://127.0.0.1:1/api")
    assert "does not answer" in problem_of("http://no-such-host.invalid:4200/api")
    with a_server(version(prefect.__version__)) as (url, _):
        ui = url.removesuffix("/api")
        assert f"instead of a version; did you mean {url}?" in problem_of(ui)
        assert f"instead of a version; did you mean {url}?" in problem_of(f"{ui}/")
        assert f"it does not speak TLS: PREFECT_API_URL={url}?" in problem_of(url.replace("http:", "https:"))


def test_credentials() -> None:
    """What is refused is named: the auth string, Prefect Cloud's key, or that there is none; none is ever shown."""
    with a_server((401, {}, b"")) as (url, heard):
        with settings({PREFECT_API_AUTH_STRING: "helios:secret"}):
            message = problem_of(url.replace("://", "://user:secret@"))
        assert "refuses the credential of PREFECT_API_AUTH_STRING" in message
        assert "secret" not in message
        with settings({PREFECT_CLOUD_API_URL: url}):
            heard.clear()
            assert "is Prefect Cloud, which wants a key; set PREFECT_API_KEY" in problem_of(f"{url}/accounts/1")
            assert heard == []
            with settings({PREFECT_API_KEY: "secret"}):
                assert "refuses the key of PREFECT_API_KEY" in problem_of(f"{url}/accounts/1")
    with a_server((404, {}, b"")) as (url, _), settings({PREFECT_CLOUD_API_URL: url, PREFECT_API_KEY: "key"}):
        check_configured(f"{url}/accounts/1")


def test_a_file_of_certificates_that_is_not_there() -> None:
    """The file of authorities is named if it can't be read, rather than the server."""
    with settings({"api.ssl_cert_file": "/nowhere.pem"}):
        assert problem_of("https://127.0.0.1:1/api").startswith("PREFECT_API_SSL_CERT_FILE=/nowhere.pem can't be used")


@pytest.mark.parametrize(
    "words", ["run JOB", "submit JOB", "list", "status x", "logs x", "wait x", "cancel x", "pause x", "resume x",
              "retry x", "delete x", "up --no-worker", "worker"]
)  # fmt: skip
def test_every_command_refuses_an_older_server(words: str, tmp_path: Path) -> None:
    """Each command that needs Prefect refuses a server of an older version before it does anything there."""
    job = str(write_job(tmp_path, make_job([5])))
    with a_server(version(OLDER)) as (url, heard), settings({PREFECT_API_URL: url}):
        with pytest.raises(ServerStartError, match=f"is Prefect {OLDER}, and this is"):
            said(*words.replace("JOB", job).split())
        assert len(heard) == 1
    assert [path.name for path in tmp_path.iterdir()] == [Path(job).name]


async def test_the_python_api_refuses_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of the package farm raise their one error for a server that can't be used; they ask once a process."""
    monkeypatch.setattr(configured, "_found_good", set())
    refused = pytest.raises(RequestError, match=f"is Prefect {OLDER}")
    with a_server(version(OLDER)) as (url, _), settings({PREFECT_API_URL: url}), refused:
        await farm.list_runs()
