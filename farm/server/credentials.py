"""The credential of a Prefect server that this program starts, and how the user's commands find it.

Prefect's server takes requests of every client, unless it has an auth string. Each start makes a new one, so that what
a browser or a shell has kept of an earlier server is worth nothing. Processes get it by their environment, commands by
a file that only the user can read. It is never on a command line, which every user of the machine sees, nor in a log.
See docs/decisions/own-credential.md.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, PREFECT_HOME
from prefect.settings.legacy import Setting

from helios.private_file import write_private
from tasks.prefect_api.tls import tls_for

USER = "helios"
ASK_SECONDS = 5.0
LINK_PATH = "/helios/open"
"""GET is the page of a link; POST takes the link's token for the credential."""
NEW_LINK_PATH = "/helios/new-link"
"""POST with the credential makes the token of a new link, which takes the place of the one before."""
PROOF_PATH = "/helios/proof"
"""GET returns the HMAC of a nonce, which takes the credential."""
HTTP_PORT = 80


@dataclass(frozen=True)
class ServerAccess:
    """The address of a Prefect server that this program starts, and its credential."""

    url: str
    """The API's address."""
    auth: str = field(repr=False)
    """Prefect's auth string, `user:password`."""

    @classmethod
    def make(cls, port: int) -> "ServerAccess":
        """Make the address and a new credential for a server that is about to start."""
        return cls(f"http://127.0.0.1:{port}/api", f"{USER}:{secrets.token_urlsafe(32)}")

    @property
    def ui(self) -> str:
        """The UI's address."""
        return self.url.removesuffix("/api")

    @property
    def port(self) -> int:
        """Where the server listens."""
        return httpx.URL(self.url).port or HTTP_PORT

    @property
    def server_environment(self) -> dict[str, str]:
        """Variables of the server's own process."""
        return {
            "PREFECT_SERVER_API_AUTH_STRING": self.auth,
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(own_origins(self.port)),
            "PREFECT_SERVER_UI_API_URL": self.url,
            "PREFECT_UI_URL": self.ui,  # for the links in notifications
        }

    @property
    def client_environment(self) -> dict[str, str]:
        """Variables of a process that uses Prefect."""
        return {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": self.auth}

    @property
    def client_settings(self) -> dict[Setting, Any]:
        """The same as settings of Prefect's client in this process."""
        return {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: self.auth}

    def is_up(self, client: httpx.Client) -> bool:
        """Whether the server answers, and proves to have the credential.

        Another user's program may have taken the port of a server that died: it gets neither the credential nor a job.

        Args:
            client: As `plain_client` makes it.
        """
        nonce = secrets.token_hex()
        try:
            answer = client.get(f"{self.ui}{PROOF_PATH}", params={"nonce": nonce})
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.is_success and hmac.compare_digest(answer.content, proof(self.auth, nonce).encode())

    def new_link(self) -> str:
        """Make the link by which a browser gets in, once; the link before it stops working."""
        headers = {"Authorization": f"Basic {basic(self.auth)}"}
        with plain_client(timeout=60) as client:
            token = client.post(f"{self.ui}{NEW_LINK_PATH}", headers=headers).raise_for_status().text
        return f"{self.ui}{LINK_PATH}?token={token}"


def plain_client(*, timeout: float = ASK_SECONDS) -> httpx.Client:
    """Make a client for a server on this machine: no proxy comes between."""
    return httpx.Client(timeout=timeout, trust_env=False, verify=tls_for("http://127.0.0.1"))


def find_farm() -> ServerAccess | None:
    """The server of the `helios-job up` that runs with this PREFECT_HOME."""
    try:
        access = ServerAccess(
            _address_file().read_text(encoding="utf-8"), _credential_file().read_text(encoding="utf-8")
        )
    except OSError:
        return None
    with plain_client() as client:
        return access if access.is_up(client) else None


@contextmanager
def announced_farm(access: ServerAccess) -> Iterator[None]:
    """Let commands for which no server is configured find one within the block."""
    write_private(_credential_file(), access.auth)
    _address_file().write_text(access.url, encoding="utf-8")
    try:
        yield
    finally:
        _address_file().unlink(missing_ok=True)
        _credential_file().unlink(missing_ok=True)


def client_headers() -> dict[str, str]:
    """The headers with which Prefect's client sends the credential of this process's settings."""
    if auth := PREFECT_API_AUTH_STRING.value():
        return {"Authorization": f"Basic {basic(str(auth))}"}
    if key := PREFECT_API_KEY.value():
        return {"Authorization": f"Bearer {key}"}
    return {}


def export_client_settings() -> None:
    """Let child processes use the server that this process uses."""
    for setting in (PREFECT_API_URL, PREFECT_API_AUTH_STRING):
        if value := setting.value():
            os.environ[setting.name] = str(value)


def own_hosts(port: int) -> tuple[str, ...]:
    """Values of the header Host in requests to a server on loopback."""
    # Clients leave HTTP's own port out.
    suffix = "" if port == HTTP_PORT else f":{port}"
    return f"127.0.0.1{suffix}", f"localhost{suffix}"


def own_origins(port: int) -> tuple[str, ...]:
    """Origins of the pages that a server on loopback serves itself."""
    return tuple(f"http://{host}" for host in own_hosts(port))


def basic(auth: str) -> str:
    """A credential as the header Authorization has it after `Basic`, and as Prefect's UI keeps it."""
    return base64.b64encode(auth.encode()).decode()


def proof(auth: str, nonce: str) -> str:
    """The answer to a nonce, by which a server proves that it has the credential."""
    return hmac.new(auth.encode(), f"helios-proof {nonce}".encode(), "sha256").hexdigest()


def _address_file() -> Path:
    return Path(PREFECT_HOME.value(), "helios-job-up")


def _credential_file() -> Path:
    return Path(PREFECT_HOME.value(), "helios-job-up.credential")
