r"""Addresses on the web: which ones mean one thing alone, and whether one lies below another.

A server decodes and normalises the path that it is asked for, each in its own way: `%2e%2e`, `..;/` and `..\` climb on
some of them. A comparison of texts sees nothing of that. So an address whose path some server could read as another one
is not normalised here in one of these ways: it is refused.
"""

import ipaddress
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from helios.errors import RequestError

MAX_URL = 8192
"""Characters of an address."""
DEFAULT_PORTS = {"http": 80, "https": 443}
# What stands in an address as it is sent (RFC 3986); everything else is percent-encoded there.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]*", re.ASCII)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|\d+)", re.ASCII)


class Origin(NamedTuple):
    """The server of an address; two addresses with the same one are of the same server."""

    scheme: str
    """`http` or `https`."""
    host: str
    """In small letters; numbers in the one form of each."""
    port: int
    """Also where the address leaves it to the scheme."""


def origin_of(url: str) -> Origin:
    """The server of an address.

    Raises:
        RequestError: It is no http or https address, or one that programs read in different ways.
    """
    if len(url) > MAX_URL:
        raise RequestError(f"{url[:80]}… has {len(url)} characters; expected an address of at most {MAX_URL}")
    if not _CHARACTERS.fullmatch(url.partition("#")[0]):
        raise _refused(url, "a character that is written as % and its code there (a space is %20)")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as exc:
        raise _refused(url, str(exc)) from None
    if parts.scheme not in DEFAULT_PORTS:
        raise _refused(url, f"the scheme {parts.scheme!r}")
    if "@" in parts.netloc:
        raise RequestError(f"{parts.scheme}://…@{host} has a user's name in it; expected an address without one")
    if "%" in parts.netloc:
        raise _refused(url, "a % in the server's name")
    return Origin(parts.scheme, _host(host, url), DEFAULT_PORTS[parts.scheme] if port is None else port)


def _host(host: str, url: str) -> str:
    """The one form of a server's name or number."""
    try:
        if ":" in host or _LIKE_A_NUMBER.fullmatch(host):
            return str(ipaddress.ip_address(host))
    except ValueError:
        raise _refused(url, f"{host!r}, which is no address in its usual form") from None
    if not _HOST.fullmatch(host):
        raise _refused(url, f"the server's name {host!r}")
    return host


def is_below(url: str, folder: str) -> bool:
    """Whether an address is a folder's own or lies below it, on the same server.

    Raises:
        RequestError: Some server could read one of them as another address.
    """
    if origin_of(url) != origin_of(folder):
        return False
    inside, parts = _parts(folder), _parts(url)
    return parts[: len(inside)] == inside


def _parts(url: str) -> list[str]:
    """The parts of an address's path, decoded."""
    path = urlsplit(url).path.removeprefix("/").removesuffix("/")
    return [_decoded(part, url) for part in path.split("/")] if path else []


def _decoded(part: str, url: str) -> str:
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise _refused(url, f"{part!r}, which is not UTF-8") from None
    name = unicodedata.normalize("NFKC", text.partition(";")[0])
    if not name.strip(". "):  # empty, "..", "..;x", "...": some servers cut dots and spaces off
        raise _refused(url, f"{part!r} as a folder or file")
    if any(sign in "/\\%" or not sign.isprintable() for sign in (*name, *text)):
        raise _refused(url, f"{part!r}, in which a server may find a further folder")
    return text


def _refused(url: str, found: str) -> RequestError:
    return RequestError(f"{url[:200]!r} is ambiguous, or no address: it has {found}; expected http:// or https://, a "
                        "server's name and a plain path")  # fmt: skip
