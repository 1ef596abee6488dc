"""One request to a server that is not ours, over httpx: one deadline and one size for the whole answer.

httpx's timeouts are for one read: a server that sends a byte every few seconds holds its caller for ever, and one that
answers with gigabytes fills its memory. `helios.web` does the same for documents, without httpx, which workers lack.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    """HTTP's."""
    headers: Mapping[str, str]
    """Looked up in any case of letters."""
    text: str
    """The body; empty where it was not asked for."""


async def ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    seconds: float,
    limit: int,
    content: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a request, and read its answer within a deadline and a size.

    Args:
        client: httpx's.
        method: `GET` or `POST`.
        url: The address; redirects are not followed.
        seconds: For the whole exchange, from the look-up of the server's name to the last byte.
        limit: The most bytes of the body; 0 reads none of it.
        content: The request's body.
        headers: Of the request.

    Raises:
        httpx.TransportError: The server can't be reached, or its answer did not arrive whole within the bounds.
    """
    # Packed, a small body could become a large one.
    more = {"accept-encoding": "identity", **(headers or {})}
    try:
        async with asyncio.timeout(seconds), client.stream(method, url, content=content, headers=more) as answer:
            body = bytearray()
            if limit:
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > limit:
                        raise httpx.ReadError(f"it answered with more than {limit} bytes")
            return Reply(answer.status_code, answer.headers, body.decode("utf-8", "replace"))
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s") from None
    except httpx.InvalidURL as exc:
        raise httpx.UnsupportedProtocol(f"{url[:200]!r} is no address: {exc}") from None
