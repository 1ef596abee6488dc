"""How a client verifies the server that it talks to. Does not import Prefect."""

import ssl
from pathlib import Path

NOBODY = Path(__file__).with_name("nobody.pem")
"""The certificate of an authority whose key nobody has: it signed one certificate, its own, which expired."""


def tls_for(url: str) -> ssl.SSLContext | bool:
    """The value of httpx's `verify` for clients of one server.

    Each client loads the certificates of all authorities (20 to 40 ms), also for a server without TLS. Its client gets
    a context that trusts nobody instead: a redirect to https is refused.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if has_no_tls(url) else True


def has_no_tls(url: str) -> bool:
    """Whether a server is talked to in the clear, so that no client needs to know an authority."""
    return url.startswith("http://")
