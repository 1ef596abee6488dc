"""Parts of one large input file, fetched from storage when they are asked for, and compared with their digests."""

import hashlib
from collections import OrderedDict

from helios.errors import WorkerUnavailableError
from helios.job.assets import Asset
from helios.job.block_list import BLOCK_BYTES, DIGEST_BYTES, block_count, list_key
from helios.storage.by_url import storage_root

KEPT_BLOCKS = 128
"""Blocks that a worker keeps in memory, 32 MiB, for all its chunks: a file's index and its beginning, which each chunk
reads, above all."""
MOST_AT_ONCE = 4
"""Blocks that one request fetches of a file that is read from one to the next: a round trip for each MiB."""


class BlockCache:
    """The blocks that were asked for last."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, digest: bytes) -> bytes | None:
        """A block, by its SHA-256."""
        if (block := self._blocks.get(digest)) is not None:
            self._blocks.move_to_end(digest)
        return block

    def put(self, digest: bytes, block: bytes) -> None:
        """Keep a block."""
        self._blocks[digest] = block
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)


class BlockReader:
    """Reads one input file block by block.

    Args:
        asset: The file.
        folder_url: The storage's folder.
        list_digest: SHA-256 of the list of its blocks, in hexadecimal.
        cache: Blocks of all files of this worker.
    """

    def __init__(self, asset: Asset, *, folder_url: str, list_digest: str, cache: BlockCache) -> None:
        self.asset = asset
        """The file."""
        self.fetched = 0
        """Bytes that came from storage."""
        self._storage, self._folder_url = storage_root(folder_url), folder_url
        self._list_digest, self._cache = list_digest, cache
        self._digests = b""
        self._following, self._at_once = -1, 1

    async def block(self, number: int) -> bytes:
        """One block.

        Raises:
            WorkerUnavailableError: The file is gone, or is not what it was; or storage can't be reached.
        """
        if not self._digests:
            self._digests = await self._list()
        if (kept := self._cache.get(self._digest(number))) is not None:
            return kept
        self._at_once = min(2 * self._at_once, MOST_AT_ONCE) if number == self._following else 1
        count = min(self._at_once, block_count(self.asset.bytes) - number)
        self._following = number + count
        data = await self._bytes(number, count)
        for one in range(count):
            block, digest = data[one * BLOCK_BYTES : (one + 1) * BLOCK_BYTES], self._digest(number + one)
            if hashlib.sha256(block).digest() != digest:
                raise self._damaged(f"its bytes from {(number + one) * BLOCK_BYTES} on have another digest")
            self._cache.put(digest, block)
        return data[:BLOCK_BYTES]

    def _digest(self, number: int) -> bytes:
        return self._digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]

    async def _list(self) -> bytes:
        key = self._storage.key_of(f"{self._folder_url}/{list_key(self.asset)}")
        data = await self._storage.read(key)
        if data is None:
            raise self._gone()
        whole = block_count(self.asset.bytes) * DIGEST_BYTES
        if len(data) != whole or hashlib.sha256(data).hexdigest() != self._list_digest:
            raise self._damaged("so is the list of its blocks' digests")
        return data

    async def _bytes(self, number: int, count: int) -> bytes:
        key = self._storage.key_of(f"{self._folder_url}/{self.asset.key}")
        offset = number * BLOCK_BYTES
        length = min(count * BLOCK_BYTES, self.asset.bytes - offset)
        try:
            data = await self._storage.read_range(key, offset=offset, length=length)
        except FileNotFoundError:
            raise self._gone() from None
        self.fetched += len(data)
        return data

    def _gone(self) -> WorkerUnavailableError:
        return WorkerUnavailableError(
            f"The input file {self.asset.path} is not at {self._folder_url}/{self.asset.key} any more; run the job "
            "again, which uploads it"
        )

    def _damaged(self, how: str) -> WorkerUnavailableError:
        return WorkerUnavailableError(
            f"The input file {self.asset.path} at {self._folder_url}/{self.asset.key} is damaged, or was replaced: "
            f"{how}; expected what was uploaded"
        )
