"""How a client verifies the server that it talks to. Does not import Prefect."""

import ssl


def tls_for(url: str) -> ssl.SSLContext | bool:
    """The value of httpx's `verify` for clients of one server.

    Each client loads the certificates of all authorities (20 to 40 ms), also for a server without TLS. Its client gets
    a context that trusts nobody instead: a redirect to https is refused.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http://") else True
