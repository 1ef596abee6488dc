"""Find and read objects by their whole URL, with credentials of the standard chain."""

import asyncio
from collections.abc import Callable

from helios.errors import RequestError
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.urls import split_url

OTHER_STORES: dict[str, Callable[[str], Storage]] = {}
"""By scheme, what opens a store that is none of the clouds' and no folder here: a node adds what its farm uses."""


def storage_root(url: str, settings: StorageSettings | None = None) -> Storage:
    """The whole store of a URL: its keys are whole paths. A worker's settings decide what it may touch."""
    root = split_url(url)[0] + ("/" if url.startswith("file:") else "")
    if (other := OTHER_STORES.get(root.partition(":")[0])) is not None:
        return other(root)
    return Storage((settings or StorageSettings(url=root)).moved_to(root))


def read_url(url: str, *, limit: int) -> bytes:
    """Read an object by its URL, blocking, with credentials of the standard chain.

    Raises:
        RequestError: There is none, or it is larger than `limit` bytes.
    """
    data = asyncio.run(_read_url(url, limit))
    if data is None:
        raise RequestError(f"{url} does not exist; expected a JSON job document")
    return data


async def _read_url(url: str, limit: int) -> bytes | None:
    return await storage_root(url).read(split_url(url)[1], limit=limit)
