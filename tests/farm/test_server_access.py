"""Access to a Prefect server that this program starts: its credential, its own host name, its own pages."""

import json
import os
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.filesystems import LocalFileSystem
from prefect.results import _default_storages
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_HOME,
    temporary_settings,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from farm.here import create_run
from farm.server.connect import configured_server
from farm.server.credentials import ServerAccess, announced_farm, client_headers, find_farm
from farm.server.settings import EMBEDDED, NO_TELEMETRY, recommended
from farm.worker import work
from helios.errors import RequestError
from tasks.prefect_api.result_storage import check_result_storage
from testbed.http_server import Answer, answering
from tests.command import here

NOBODY = 65534
SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled", "work_pools/any/workers/connect")
"""Every WebSocket of Prefect's server."""
AS_NOBODY = f"""
import http.client, json, os, sys
from urllib.parse import urlsplit
"".encode("idna")  # what is imported late could not be read any more
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
home, url, server = sys.argv[1:]

def read(path):
    try:
        return open(path).read()
    except PermissionError:
        return "refused"

def ask(path):
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", "/api" + path)
    return connection.getresponse().status

print(json.dumps([read(home + "/helios-job-up"), read(home + "/helios-job-up.credential"),
                  read("/proc/" + server + "/environ"), ask("/admin/version"), ask("/flows/name/x")]))
"""


@pytest.fixture
def access(prefect_api: str) -> ServerAccess:
    """The address and the credential of the tests' server."""
    return ServerAccess(prefect_api, str(PREFECT_API_AUTH_STRING.value()))


@pytest.fixture
def home() -> Iterator[Path]:
    """A PREFECT_HOME that every user of the machine can read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with temporary_settings({PREFECT_HOME: Path(name)}):
            yield Path(name)


@pytest.mark.parametrize("header", [None, "Basic bm86bm8=", "Bearer no", "Basic", "nonsense"])
def test_a_request_without_the_credential(access: ServerAccess, header: str | None) -> None:
    """A request without the credential is refused on every path but /health, which reveals nothing."""
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("POST", "flows/"), ("POST", "flow_runs/"), ("POST", "flow_runs/filter"), ("GET", "version")):
        assert httpx.request(method, f"{access.url}/{path}", json={}, headers=headers).status_code == 401
    assert httpx.post(f"{access.ui}/helios/new-link", headers=headers).status_code == 401
    assert httpx.get(f"{access.url}/health", headers=headers).json() is True
    assert httpx.get(f"{access.url}/version", headers=client_headers()).is_success


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_without_the_credential(access: ServerAccess, path: str) -> None:
    """A WebSocket without the credential is closed before it sends anything, with Prefect's subprotocol or without."""
    url = f"{access.url.replace('http', 'ws')}/{path}"
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(url) as socket:
        socket.recv(timeout=30)
    with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
        socket.send(json.dumps({"type": "auth", "token": "no:no"}))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}", "evil.example:{port}"])
def test_a_foreign_host_name(access: ServerAccess, host: str) -> None:
    """A foreign host name that points to this machine (DNS rebinding) is refused, even with the credential."""
    headers = {**client_headers(), "Host": host.format(port=access.port)}
    for path in ("/api/health", "/api/version", "/", "/helios/open", "/helios/proof"):
        answer = httpx.get(f"{access.ui}{path}", headers=headers)
        assert (answer.status_code, f"Use this server as 127.0.0.1:{access.port}, not as" in answer.text) == (400, True)
    assert httpx.get(f"{access.url}/version", headers={**headers, "Host": f"LOCALHOST:{access.port}"}).is_success


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_a_page_of_another_origin(access: ServerAccess, origin: str) -> None:
    """Requests and preflights of a foreign page are refused, even with the credential; the UI's own are allowed."""
    foreign = {"Origin": origin.format(port=access.port)}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for headers in (foreign, foreign | client_headers()):
        answer = httpx.get(f"{access.url}/version", headers=headers)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)
    assert httpx.options(f"{access.url}/flows/", headers=foreign | preflight).status_code == 403
    with pytest.raises(InvalidStatus), connect(
        f"{access.url.replace('http', 'ws')}/events/out",
        additional_headers=foreign, subprotocols=[Subprotocol("prefect")],
    ):  # fmt: skip
        pass
    own = {"Origin": f"http://localhost:{access.port}"}
    answer = httpx.options(f"{access.url}/flows/", headers=own | preflight)
    assert answer.headers["access-control-allow-origin"] == own["Origin"]


def test_a_link_works_once(access: ServerAccess) -> None:
    """A link's token is exchanged for the credential once, and not at all after a newer link was made."""
    page, _, token = access.new_link().partition("?token=")
    answer = httpx.get(f"{page}?token={token}")  # a link preview sends this request, which does not use up the token
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    first = httpx.post(page, headers={"Authorization": f"Bearer {token}"})
    assert (first.status_code, {"Authorization": f"Basic {first.text}"}) == (200, client_headers())
    assert httpx.post(page, headers={"Authorization": f"Bearer {token}"}).status_code == 410
    older = access.new_link().partition("?token=")[2]
    access.new_link()
    assert httpx.post(page, headers={"Authorization": f"Bearer {older}"}).status_code == 410


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to become another user")
def test_another_user_of_the_machine(access: ServerAccess, home: Path) -> None:
    """Another user sees the farm's address, but neither its credential nor its server's environment, nor its API."""
    look = ["pgrep", "-f", "-P", str(os.getpid()), "farm.server.embedded"]
    (server,) = subprocess.run(look, capture_output=True, text=True, check=True).stdout.split()
    with announced_farm(access):
        words = [sys.executable, "-c", AS_NOBODY, str(home), access.url, server]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [access.url, "refused", "refused", 401, 401]
        found = find_farm()
        assert found == access
        assert access.auth not in repr(found)


def test_the_file_of_the_credential_is_its_user_s_alone(access: ServerAccess, home: Path) -> None:
    """The credential's file is its user's alone, even if a link to a public file was in its place; it is removed."""
    elsewhere = home / "elsewhere"
    elsewhere.touch(0o666)
    (home / "helios-job-up.credential").symlink_to(elsewhere)
    before = os.umask(0)
    try:
        with announced_farm(access):
            found = (home / "helios-job-up.credential").lstat()
            assert (stat.S_ISREG(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
            assert elsewhere.read_text() == ""
    finally:
        os.umask(before)
    assert sorted(path.name for path in home.iterdir()) == ["elsewhere"]


def test_a_server_that_took_a_dead_farm_s_port(home: Path) -> None:
    """A foreign server on a dead farm's port is not taken for the farm, and does not get the credential."""
    heard: list[dict[str, str]] = []

    def answer(_method: str, _path: str, headers: dict[str, str], _body: bytes) -> Answer:
        heard.append(headers)
        return 200, {}, b"true"

    with answering(answer) as url, announced_farm(ServerAccess(f"{url}/api", "helios:secret")):
        assert find_farm() is None
    assert heard
    assert not any("authorization" in {name.lower() for name in headers} for headers in heard)


REFUSALS = {"": "wants a credential", "some:thing": "refuses the credential of PREFECT_API_AUTH_STRING"}


@pytest.mark.parametrize("auth", REFUSALS)
@pytest.mark.parametrize("words", [["list"], ["worker"], ["up", "--no-worker"]], ids=lambda words: words[0])
def test_a_configured_server_refuses_the_credential(
    access: ServerAccess, home: Path, words: list[str], auth: str
) -> None:
    """When a configured server refuses the credential, one line names the server and the variable to set."""
    with temporary_settings({PREFECT_API_AUTH_STRING: auth}):
        done = here(*words)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    said = f"helios-job: Prefect's API at {access.url} {REFUSALS[auth]} (401 Unauthorized); set PREFECT"
    assert line.startswith(said)


def test_no_server_without_a_credential() -> None:
    """The server's program does not start without a credential."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_SERVER")}
    words = [sys.executable, "-m", "farm.server.embedded", "0"]
    done = subprocess.run(words, env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "set PREFECT_SERVER_API_AUTH_STRING" in done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("renders", "does not name a block; expected TYPE/NAME, such as s3-bucket/renders"),
        ("s3-bucket/a/b", "does not name a block"),
        ("s3-bucket/nowhere", "there is no such block on the server at "),
        ("no-such-type/nowhere", "there is no such block on the server at "),
        ("secret/of-this-test", "keeps no files; name a block that does"),
    ],
)
async def test_a_result_storage_that_can_t_be(prefect_api: str, tmp_path: Path, name: str, says: str) -> None:
    """A default result storage that is none stops a job before Prefect knows it, and a worker before it starts."""
    await Secret(value="x").asave("of-this-test", overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
        async with get_client() as client:
            before = await client.count_flow_runs()
            for attempt in (create_run({"job": str(tmp_path)}), work("none", None, say=print)):
                with pytest.raises(RequestError) as raised:
                    await attempt
                message = str(raised.value)
                assert message.startswith(f"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK={name}")
                assert says in message
            assert await client.count_flow_runs() == before


async def test_a_result_storage_that_can_be(prefect_api: str, tmp_path: Path) -> None:
    """A block that keeps files is loaded; one that can't be loaded is named with the reason."""
    await LocalFileSystem(basepath=str(tmp_path)).asave("of-this-test", overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "local-file-system/of-this-test"}):
        async with get_client() as client:
            await check_result_storage(client)
            document = await client.read_block_document_by_name("of-this-test", "local-file-system")
            wrong = {"basepath": ["not", "a", "path"]}
            await client.update_block_document(document.id, BlockDocumentUpdate(data=wrong, merge_existing_data=False))
            _default_storages.clear()
            with pytest.raises(RequestError, match="can't be loaded"):
                await check_result_storage(client)


async def test_a_server_without_tls_needs_no_authorities(prefect_api: str) -> None:
    """For a server without TLS, Prefect's clients load one certificate, which nobody can have, and for others all."""
    before = PREFECT_API_SSL_CERT_FILE.value()
    with configured_server():
        trusted = ssl.create_default_context(cafile=PREFECT_API_SSL_CERT_FILE.value()).get_ca_certs()
        assert ["helios-render trusts nobody" in str(one["subject"]) for one in trusted] == [True]
        async with get_client() as client:
            assert await client.api_healthcheck() is None
    assert PREFECT_API_SSL_CERT_FILE.value() == before


def test_no_server_of_ours_reports_to_prefect_s_makers() -> None:
    """A server has no telemetry, as this program starts it or as a person does; links have the UI's address."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DO_NOT_TRACK"))}
    words = [sys.executable, "-m", "farm.server.settings", "env"]
    env = {**own, "PREFECT_SERVER_UI_API_URL": "http://farm:4200/api"}
    said = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"PREFECT_SERVER_ANALYTICS_ENABLED=false", "DO_NOT_TRACK=1", "PREFECT_UI_URL=http://farm:4200"} <= {*said}
    assert EMBEDDED.items() >= NO_TELEMETRY.items()
    assert os.environ["DO_NOT_TRACK"]
    assert recommended({"PREFECT_SERVER_ANALYTICS_ENABLED": "true"})["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
