"""Digests of a large input file's blocks: a worker that reads parts of the file knows them by these.

STORAGE/assets/DIGEST.blocks    the SHA-256 of each block of STORAGE/assets/DIGEST, 32 bytes each, one after the other
"""

import asyncio
import hashlib
from pathlib import Path

from helios.errors import RequestError
from helios.job.assets import Asset
from helios.regular_file import open_regular
from helios.storage.folder import Storage

BLOCK_BYTES = 256 * 1024
"""Large enough that a list is small (64 KiB for 2 GiB), small enough that a jump within a file costs little."""
DIGEST_BYTES = 32


def list_key(asset: Asset) -> str:
    """Where the list of a file's blocks lies, relative to the storage's folder."""
    return f"{asset.key}.blocks"


def block_count(size: int) -> int:
    """Blocks of a file of so many bytes; the last one may be shorter."""
    return -(-size // BLOCK_BYTES)


async def store_block_list(asset: Asset, path: Path, storage: Storage) -> str:
    """Put the list of a file's blocks into storage, unless it is there.

    Args:
        asset: The file, in storage.
        path: The file, here.
        storage: Where to.

    Returns:
        The SHA-256 of the list, in hexadecimal.

    Raises:
        RequestError: The file is not the one in storage any more.
    """
    key, size = list_key(asset), block_count(asset.bytes) * DIGEST_BYTES
    kept = await storage.read(key) if await storage.size(key) == size else None
    if kept is not None:
        return hashlib.sha256(kept).hexdigest()
    digest, data = await asyncio.to_thread(_hash_blocks, path)
    if digest != asset.sha256:
        raise RequestError(f"The input file {path} changed while it was uploaded; run the job again")
    await storage.write(key, data)
    return hashlib.sha256(data).hexdigest()


def _hash_blocks(path: Path) -> tuple[str, bytes]:
    """A file's digest in hexadecimal, and its list of blocks."""
    whole, blocks = hashlib.sha256(), bytearray()
    with open_regular(path) as file:
        while block := file.read(BLOCK_BYTES):
            whole.update(block)
            blocks += hashlib.sha256(block).digest()
    return whole.hexdigest(), bytes(blocks)
