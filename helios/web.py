"""Fetch a document from a web server that is not ours: one deadline and one size for the whole exchange.

The timeouts of Python's libraries are for one read: a server that sends a byte every few seconds holds its reader for
days. Here the exchange runs in a thread of its own, which is waited for until the deadline and no longer; then, or when
the waiting is cancelled, its connection is shut, which ends the thread too. Redirects stay on their server.

Light, because workers import it: urllib itself is imported with the first exchange (25 ms).
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.web_urls import origin_of

if TYPE_CHECKING:
    from urllib.error import HTTPError

FETCH_SECONDS = 30.0
"""For a whole document, from the look-up of the server's name to the last byte, with all redirects."""
STEP_SECONDS = 10.0
"""For a connection, and for each wait for bytes."""
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

Check = Callable[[str], None]
"""Raises an error for an address that may not be asked."""


def fetch(url: str, *, limit: int, seconds: float = FETCH_SECONDS, check: Check | None = None) -> bytes:
    """Fetch what is at an http or https address; blocks, and can be interrupted.

    Args:
        url: The address.
        limit: The most bytes that it may have.
        seconds: For the whole exchange.
        check: Called with the address, and with each that a redirect leads to.

    Raises:
        RequestError: There is nothing to read, or too much, or it is on another server.
        WorkerUnavailableError: The server did not answer, or not in time.
    """
    exchange = _Exchange(url, limit, check)
    try:
        return exchange.start().result(timeout=seconds)
    except TimeoutError:
        raise _too_slow(url, seconds) from None
    finally:
        exchange.abort()


async def fetch_while_awaited(
    url: str, *, limit: int, seconds: float = FETCH_SECONDS, check: Check | None = None
) -> bytes:
    """As `fetch`, without blocking; when it is cancelled, so is the exchange."""
    exchange = _Exchange(url, limit, check)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(exchange.start())
    except TimeoutError:
        raise _too_slow(url, seconds) from None
    finally:
        exchange.abort()


def _too_slow(url: str, seconds: float) -> WorkerUnavailableError:
    return WorkerUnavailableError(f"{url} did not answer as a whole within {seconds:g} s; is its server in trouble?")


class _Exchange:
    """One exchange, with its redirects."""

    def __init__(self, url: str, limit: int, check: Check | None) -> None:
        self._url, self._limit, self._check = url, limit, check
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_over = False

    def start(self) -> Future[bytes]:
        """Begin; the process does not wait for it at its end."""
        future: Future[bytes] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                found = self._run()
            except BaseException as exc:  # noqa: BLE001  raised again where it is awaited
                future.set_exception(exc)
            else:
                future.set_result(found)

        threading.Thread(target=run, name="exchange", daemon=True).start()
        return future

    def abort(self) -> None:
        """Shut the connection."""
        with self._lock:
            self._is_over = True
            for own in self._sockets:
                with suppress(OSError):
                    own.shutdown(socket.SHUT_RDWR)
                own.close()
            self._sockets.clear()

    def _run(self) -> bytes:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            if origin_of(url) != origin_of(self._url):
                raise RequestError(
                    f"{self._url} sends its reader to another server ({url}); expected the document there: name that "
                    "address, if it is right"
                )
            if self._check is not None:
                self._check(url)
            found = self._ask(url)
            if isinstance(found, bytes):
                return found
            url = found[0]
        raise RequestError(f"{self._url} sends its reader on and on; expected at most {MAX_REDIRECTS} redirects")

    def _ask(self, url: str) -> bytes | tuple[str]:
        """One request: the answer, or the address that it names instead."""
        import http.client
        import urllib.error
        import urllib.request

        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  http(s) only
        try:
            with self._opener().open(request, timeout=STEP_SECONDS) as answer:
                data = bytes(answer.read(self._limit + 1))
        except urllib.error.HTTPError as exc:
            with exc:
                return self._refusal(url, exc)
        except (OSError, ValueError, http.client.HTTPException) as exc:
            reason = str(getattr(exc, "reason", exc)).strip() or type(exc).__name__
            raise WorkerUnavailableError(f"{url} cannot be fetched ({reason[:200]}); is the address right?") from None
        if len(data) > self._limit:
            raise RequestError(f"{url}: more than {self._limit} bytes; expected at most that")
        return data

    def _refusal(self, url: str, answer: "HTTPError") -> tuple[str]:
        target = answer.headers.get("Location")
        if answer.code in REDIRECTS and target:
            try:
                return (urljoin(url, target),)
            except ValueError:
                raise RequestError(f"{url} sends its reader to {target[:200]!r}, which is no address") from None
        kind: type[HeliosError] = WorkerUnavailableError if answer.code >= 500 else RequestError
        raise kind(f"{url} answered {answer.code} {answer.reason[:200]}; expected a JSON job document")

    def _opener(self) -> Any:
        import urllib.request

        exchange = self

        class Watched(urllib.request.AbstractHTTPHandler):
            """Opens connections whose sockets the exchange knows."""

            def do_open(self, http_class: Any, req: Any, **settings: Any) -> Any:
                def connection(*args: Any, **more: Any) -> Any:
                    made = http_class(*args, **more)
                    made._create_connection = exchange._connect
                    return made

                return super().do_open(connection, req, **settings)

        class Http(Watched, urllib.request.HTTPHandler):
            pass

        class Https(Watched, urllib.request.HTTPSHandler):
            pass

        class StayHere(urllib.request.HTTPRedirectHandler):
            """Follows no redirect: the answer that asks for it is an error like any other."""

            def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> None:
                return None

            http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

        return urllib.request.build_opener(Http(), Https(), StayHere())

    def _connect(self, address: Any, timeout: float = STEP_SECONDS, source_address: Any = None) -> socket.socket:
        connection = socket.create_connection(address, timeout, source_address)
        with self._lock:
            if self._is_over:
                connection.close()
                raise OSError("nobody waits for the answer any more")
            # A second handle: TLS takes the first one over, and shutting either shuts the connection.
            self._sockets.append(connection.dup())
        return connection
