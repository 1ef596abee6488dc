"""HTTP/1.1 of the worker's service, with deadlines that uvicorn has not.

uvicorn ends connections that are idle after an answer. One that sends nothing, half of its headers, or a byte of them
now and then, it keeps for ever: 300 of these used up the open files of a worker, which was deaf then. Another server
would be another dependency of every container; these few lines stand over uvicorn's own protocol.
"""

import asyncio
import resource
import time
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""From a connection, or the first byte of a further request, to the end of the request's headers."""
MOST_CONNECTIONS = 1000
"""Beyond, or beyond half of the open files that the process may have, the longest waiting connection is closed."""


def most_connections() -> int:
    """How many connections the service keeps."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, files // 2))


class PatientProtocol(H11Protocol):
    """A connection that has to send a request's headers in time."""

    _deadline: asyncio.TimerHandle | None = None
    opened = 0.0
    """When it was opened."""

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it is being carried out."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers; make room, if there are too many connections."""
        super().connection_made(transport)
        self.opened = time.monotonic()
        self._begin()
        if len(self.connections) > most_connections():
            others = (one for one in cast("set[PatientProtocol]", self.connections) if one.is_waiting)
            if (oldest := min(others, key=lambda one: one.opened, default=None)) is not None:
                oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take data; wait no longer for the headers when they are there."""
        super().data_received(data)
        if self.is_waiting:
            self._begin()
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.is_waiting:
            self.transport.abort()
