"""Writes into a cache as a job does: `python -m tests.helios.storage.caching FOLDER KEY BYTE TIMES`."""

import asyncio
import hashlib
import sys
import tempfile
from pathlib import Path

from helios.models.verification import VerifyLevel
from helios.storage.folder import Storage
from helios.storage.output_cache import CacheEntry, OutputCache, cache_url
from helios.storage.stores import StorageSettings

SIZE = 300_000


def entry_of(content: bytes) -> CacheEntry:
    """The entry of a content."""
    digest = hashlib.sha256(content).hexdigest()
    return CacheEntry(
        sha256=digest, bytes=len(content), verified=VerifyLevel.DECODE, render_ms=5, adapter="local", run_id="r"
    )


async def write(folder: str, key: str, byte: int, times: int) -> None:
    """Put a file of one repeated byte, again and again."""
    cache = OutputCache(Storage(StorageSettings(url=cache_url(folder))))
    content = bytes([byte]) * SIZE
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        for _ in range(times):
            assert await cache.put(key, entry_of(content), Path(file.name))
            print("put", flush=True)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
