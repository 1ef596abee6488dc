"""The text by which a machine joins a farm: the scheduler's address and the farm's secret."""

import base64
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from helios.errors import RequestError
from helios.private_file import write_private
from helios.variables import FARM

SECRET_BYTES = 32
PORT = 8786
"""Where the scheduler listens unless another port is named: Dask's usual one."""
EXAMPLE = "192.168.1.10:8786/SECRET"
_SHAPE = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[\w.-]{1,253}):(\d{1,5})/([\w-]{43})", re.ASCII)


@dataclass(frozen=True)
class JoinToken:
    """Where a farm's scheduler is, and the secret that its members share. Who has it may do anything on the farm."""

    host: str
    """A name or an address of the scheduler's machine, as nodes reach it."""
    port: int
    """The scheduler's port."""
    secret: bytes = field(repr=False)
    """32 random bytes."""

    @property
    def address(self) -> str:
        """The scheduler's address for Dask."""
        return f"tls://{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """The token as people pass it on."""
        return f"{self.host}:{self.port}/{base64.urlsafe_b64encode(self.secret).decode().rstrip('=')}"


def draw_secret() -> bytes:
    """Draw a secret for a new farm."""
    return secrets.token_bytes(SECRET_BYTES)


def parse_token(text: str) -> JoinToken:
    """Read a token.

    Raises:
        RequestError: It is none; the message does not repeat the secret.
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None or not 0 < int(found[2]) < 65536:
        shown = text.strip().partition("/")[0][:80]
        raise RequestError(
            f"{shown!r}… is no join token; expected the text that `helios-job farm start` prints, such as {EXAMPLE}"
        )
    return JoinToken(found[1], int(found[2]), base64.urlsafe_b64decode(found[3] + "="))


def find_token(given: str | None, environment: Mapping[str, str] = os.environ) -> JoinToken:
    """The token that was given, else that of HELIOS_FARM, else that of the farm that was started on this machine.

    Raises:
        RequestError: There is none, or it is not a token.
    """
    if text := given or environment.get(FARM):
        return parse_token(text)
    try:
        return parse_token(kept_token_path(environment).read_text())
    except OSError:
        raise RequestError(
            "There is no farm: start one (helios-job farm start), or give the join token that it printed "
            f"(join in the adapter's settings, or the variable {FARM})"
        ) from None


def kept_token_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file in which `farm start` keeps its token, which its user alone can read."""
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME") or "/", ".config")
    return Path(base, "helios", "farm-token")


def keep_token(token: JoinToken) -> Path:
    """Write the token to its file, so that a farm that is started again has the same one."""
    path = kept_token_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, f"{token.text}\n")
    except OSError as exc:
        raise RequestError(f"The farm's token can't be kept in {path} ({exc.strerror}); make the folder writable, or "
                           "set XDG_CONFIG_HOME") from None  # fmt: skip
    return path
