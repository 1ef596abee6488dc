"""The HTTP service of Google Cloud Run, and of any other host of containers: `python -m helios.worker serve`.

Callers are not checked here: on Cloud Run the platform does it, and takes the token's signature away before the
request arrives. Elsewhere, put it behind something that does, and set HELIOS_JOB_PREFIXES.
"""

import asyncio
import contextlib
import os
import re
import signal
from contextlib import ExitStack
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from helios.errors import HeliosError, RequestError
from helios.job.attempts import write_answer
from helios.models.invocation import ChunkAnswer
from helios.worker.failures import failure_of
from helios.worker.http import status_of
from helios.worker.http_protocol import PatientProtocol
from helios.worker.runtime import WorkerRuntime, package_version, read_request
from helios.worker.settings import WorkerSettings

MAX_BODY_BYTES = 256 * 1024
"""A request has a few hundred bytes, and the job's variables."""
BODY_SECONDS = 10.0
"""For a request's body, as a whole; it holds one of the places for chunks meanwhile."""
LAST_PORT = 65535
FINISH_SECONDS = 3.0
"""After SIGTERM a chunk may still finish within this many seconds; Cloud Run kills after 10 s."""


def create_app(runtime: WorkerRuntime) -> Starlette:
    """The service: `POST /` renders a chunk, `GET /health` says that it can."""

    async def render(request: Request) -> Response:
        try:
            return await _render(runtime, request)
        except _RefusedBodyError as exc:
            return _respond(ChunkAnswer.failed(RequestError(str(exc))), status=exc.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Exception as exc:  # noqa: BLE001  whoever asked gets an answer
            return _respond(ChunkAnswer.failed(failure_of(exc)))

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": package_version(), "running": runtime.taken})

    # Not /healthz, which Google's front end answers itself.
    return Starlette(
        routes=[
            Route("/", render, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ]
    )


async def _render(runtime: WorkerRuntime, request: Request) -> Response:
    # The place is taken before the body is waited for: between a look and the last byte of a body, which a caller may
    # hold back, any number of others could come in.
    with ExitStack() as place:
        try:
            place.enter_context(runtime.slot())
        except HeliosError as exc:
            return _respond(ChunkAnswer.failed(exc), status=429)
        return _respond(await runtime.run(read_request(await _read_body(request))))


class _RefusedBodyError(Exception):
    """A body that is too large or too slow."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedBodyError(f"The request has more than {MAX_BODY_BYTES} bytes", status=413)
    except TimeoutError:
        message = f"The request did not arrive as a whole within {BODY_SECONDS:g} s"
        raise _RefusedBodyError(message, status=408) from None
    return bytes(body)


def _respond(answer: ChunkAnswer, *, status: int | None = None) -> Response:
    return Response(write_answer(answer), status or status_of(answer), media_type="application/json")


class _Server(uvicorn.Server):
    """Ends in order: no new chunks, a few seconds for running chunks, then a report on chunks that were cut off."""

    def __init__(self, config: uvicorn.Config, runtime: WorkerRuntime) -> None:
        super().__init__(config)
        self._runtime = runtime

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().call_later(FINISH_SECONDS, self._runtime.stop)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def serve(*, host: str = "0.0.0.0", port: int | None = None) -> None:  # noqa: S104  a container's service
    """Serve until SIGTERM.

    Args:
        host: Address to listen on.
        port: Port to listen on; $PORT, or 8080, when None.

    Raises:
        RequestError: A variable has an invalid value.
    """
    runtime = WorkerRuntime(WorkerSettings.from_environment())
    config = uvicorn.Config(
        create_app(runtime),
        host=host,
        port=port if port is not None else _port(os.environ.get("PORT") or "8080"),
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=None,
        timeout_keep_alive=75,
        http=PatientProtocol,
    )
    _Server(config, runtime).run()


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 0 <= int(text) <= LAST_PORT:
        raise RequestError(f"PORT is {text[:40]!r}; expected a number up to {LAST_PORT}")
    return int(text)
