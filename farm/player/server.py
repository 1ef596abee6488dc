"""Serve a run's page and its segments on 127.0.0.1, for browsers that have the link.

The link has a random token, and requests under another host name are refused (a foreign name can be made to point here:
DNS rebinding). Nothing can be changed through it.
"""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from prefect.client.orchestration import PrefectClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from farm.finding import Run, find
from farm.player.folder import SERVED, WatchedFolder
from farm.player.state import RunView, page_state
from helios.errors import RequestError
from helios.media import playlist
from helios.models.report import RunState

STATIC = Path(__file__).with_name("static")
PAGES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "hls.js": ("hls.light.min.js", "text/javascript; charset=utf-8"),
}
"""By name, what the page is made of."""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
WAIT_SECONDS = 600.0
"""So long the answer to a player waits that asks for the next segment; then it asks again."""
LOOK_SECONDS = 0.1
"""Between two looks at the playlist meanwhile."""
CAN_WAIT = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"
"""Tells players that they may ask for a segment that is not there yet (draft-pantos-hls-rfc8216bis, 6.2.5.2)."""
END_SECONDS = 1


async def play(run: Run, *, client: PrefectClient, port: int, tell: Callable[[str], None]) -> None:
    """Serve a run's page until SIGINT or SIGTERM.

    Args:
        run: The run.
        client: Prefect's.
        port: Of 127.0.0.1; 0 for one that is free.
        tell: Called with the link once it works.

    Raises:
        RequestError: There is no such run; it has nothing to play; that lies elsewhere; or the port is taken.
    """
    view = RunView(client, await find(client, run))
    await view.look()
    player = Player(view)
    player.check()
    with _listen(port) as listener:
        server = uvicorn.Server(
            uvicorn.Config(player.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=END_SECONDS)
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        tell(f"http://127.0.0.1:{listener.getsockname()[1]}/{player.token}/")
        # Not `serve`, which takes the signals, and raises them again at the end.
        await server._serve(sockets=[listener])


class Player:
    """What is served.

    Args:
        view: The run.
    """

    def __init__(self, view: RunView) -> None:
        self.token = secrets.token_urlsafe(24)
        """Stands in every address."""
        self._view = view
        self._found: tuple[str, WatchedFolder | None] = ("", None)

    def app(self) -> Starlette:
        """The application."""
        base = f"/{self.token}/"
        return Starlette(
            routes=[
                *(Route(base + name, self._page) for name in PAGES),
                Route(f"{base}state.json", self._state),
                Route(f"{base}picture.jpg", self._picture),
                Route(f"{base}video.m3u8", self._playlist),
                Route(f"{base}{{name}}", self._file),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        )

    def check(self) -> None:
        """Refuse a run of which there is nothing to play, and never will be.

        Raises:
            RequestError: Says why.
        """
        seen, folder = self._view.seen, self._folder
        name, progress = seen.status.name, seen.progress
        if folder is None and (seen.is_over or (progress is not None and progress.frames)):
            raise RequestError(
                f"{name} has no playlist: it accepted no chunk, its codec is none that players take, or it was not to "
                f"be watched (--no-preview); helios-job status {name} says where it stands"
            )
        if folder is not None and not folder.is_here and progress is not None:
            raise RequestError(
                f"The playlist of {name} is {progress.playlist} on {progress.host or 'another machine'}, and not on "
                f"{socket.gethostname()}; watch it there, or where that folder is shared"
            )

    @property
    def _folder(self) -> WatchedFolder | None:
        """The run's folder, once it has said where that is."""
        place = self._view.seen.progress.playlist if self._view.seen.progress else ""
        if place != self._found[0]:
            try:
                self._found = place, WatchedFolder(Path(place)) if place else None
            except ValueError:
                self._found = place, None
        return self._found[1]

    async def _page(self, request: Request) -> Response:
        name, kind = PAGES[request.url.path.rpartition("/")[2]]
        return Response(STATIC.joinpath(name).read_bytes(), media_type=kind, headers=HEADERS)

    async def _state(self, _request: Request) -> Response:
        seen = await self._view.look()
        if (folder := self._folder) is not None and not seen.is_over:
            await asyncio.to_thread(folder.note_watcher)
        document = await asyncio.to_thread(page_state, seen, folder)
        if seen.progress is not None:
            document["playlist"] = seen.progress.playlist
        return JSONResponse(document, headers=HEADERS)

    async def _picture(self, _request: Request) -> Response:
        picture = self._view.seen.picture
        return Response(picture, 200 if picture else 404, HEADERS, "image/jpeg")

    async def _playlist(self, request: Request) -> Response:
        """The playlist, as soon as it has the segment that is asked for; without one, as soon as there is any."""
        wanted = request.query_params.get("_HLS_msn", "0")
        least = int(wanted) + 1 if wanted.isdecimal() and len(wanted) < 10 else 1
        loop = asyncio.get_running_loop()
        until, text = loop.time() + WAIT_SECONDS, ""
        while True:
            if (folder := self._folder) is not None:
                text = await asyncio.to_thread(folder.playlist)
            is_over = self._view.latest.is_over
            if text.count("#EXTINF") >= least or is_over or playlist.has_ended(text) or loop.time() > until:
                break
            if await request.is_disconnected():
                break
            await asyncio.sleep(LOOK_SECONDS)
        if not text:
            return Response("There is no playlist\n", 404, HEADERS, "text/plain")
        if is_over and self._view.seen.status.state is not RunState.PAUSED and not playlist.has_ended(text):
            text += playlist.END  # its process died, and could not write it
        text = text.replace(playlist.EVENT, playlist.EVENT + CAN_WAIT, 1)
        return Response(text, headers=HEADERS, media_type="application/vnd.apple.mpegurl")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if (folder := self._folder) is None or not SERVED.fullmatch(name):
            return Response("There is no such file\n", 404, HEADERS, "text/plain")
        try:
            content = await asyncio.to_thread(folder.read, name)
        except OSError:
            return Response("The file can't be read\n", 404, HEADERS, "text/plain")
        return Response(content, headers=HEADERS, media_type="video/mp4")


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as exc:
        listener.close()
        raise RequestError(
            f"Port {port} of 127.0.0.1 can't be used ({exc.strerror}); choose another (--port), or leave it out for a "
            "free one"
        ) from None
    return listener
