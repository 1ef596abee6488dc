"""Read parts of an object, in requests of ranges of its bytes."""

import obstore

from helios.storage.exchanges import Exchange, Exchanges
from helios.storage.persistent import persistent
from helios.storage.stores import Store, store_errors
from helios.storage.urls import check_key

READS_AT_ONCE = 16
_READS = Exchanges(READS_AT_ONCE, "ranges")


class RangeReads:
    """What a storage does about parts of objects; see `helios.storage.folder.Storage`."""

    _store: Store

    def url_of(self, key: str) -> str:
        """The URL of a key."""
        raise NotImplementedError

    @persistent
    async def read_range(self, key: str, *, offset: int, length: int) -> bytes:
        """A part of an object.

        Args:
            key: The object's key.
            offset: The first byte.
            length: Number of bytes, at least 1.

        Returns:
            The bytes; fewer where the object ends before.

        Raises:
            FileNotFoundError: There is no such key.
            WorkerUnavailableError: The server did not answer, or the object has no such bytes.
        """
        exchange = Exchange(self.url_of(key))

        def get() -> bytes:
            with store_errors("read", self.url_of(key)):
                data = bytes(obstore.get_range(self._store, check_key(key), start=offset, length=length))
            exchange.bytes += len(data)
            return data

        return await _READS.run(exchange, get)
