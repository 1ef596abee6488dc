"""A page in Chromium, brought to one frame after the other."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from helios.errors import RequestError, WorkerUnavailableError
from helios.page.browser import open_browser, playwright
from helios.page.words import ORIGIN, PageError, PageScene, error_words, read_scene

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

PATIENCE_SECONDS = 60.0
"""How long a page may take to load, and to be what a frame shows."""
SCENE_SECONDS = 10.0
"""How long a loaded page may take to say what it is."""
JPEG_QUALITY = 95
"""Out of 100."""
IS_SET = "() => window.heliosScene !== undefined"
SAY = "() => Promise.resolve(window.heliosScene).then(scene => scene && (({draw, ...said}) => said)(scene))"
LOAD_FONTS = """() => Promise.all([...document.fonts].map(font => font.load().catch(() => {
    throw new Error(`the font ${font.family} can't be loaded`); })))"""
DRAW = Path(__file__).with_name("drawn.js").read_text(encoding="utf-8")


class OpenPage:
    """A page, and what it has read and complained of."""

    def __init__(self, page: Page, *, folder: Path) -> None:
        """Listen to a page.

        Args:
            page: An empty one.
            folder: The files that it may read.
        """
        self._page, self._folder = page, folder
        self._waiting: set[Request] = set()
        self._wrong: list[str] = []
        self.files: list[str] = []
        """Files that it has read, relative to the folder."""
        self.hosts: list[str] = []
        """Other machines that it has read from."""
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        # Else Chromium keeps a page from servers of its own network, such as a studio's. Older ones have no such rule.
        with suppress(playwright().Error):
            page.context.grant_permissions(["local-network-access"], origin=ORIGIN)
        page.route(f"{ORIGIN}**", self._answer)
        page.on("pageerror", lambda error: self._wrong.append(error_words(error.stack or str(error))))
        page.on("console", lambda message: print(f"{message.type}: {message.text}", flush=True))  # noqa: T201
        page.on("crash", lambda _: self._wrong.append("Chromium's process of the page crashed"))
        page.on("request", lambda request: self._waiting.add(request))
        page.on("requestfinished", lambda request: self._waiting.discard(request))
        page.on("requestfailed", self._has_failed)
        page.on("response", lambda answer: self._answered(answer.url, answer.status))

    def open(self, name: str, *, query: str) -> PageScene:
        """Load the page with its fonts and images.

        Args:
            name: The file, relative to the folder.
            query: What stands behind the question mark.

        Returns:
            What it says about itself.

        Raises:
            RequestError: It can't be loaded, or does not say what is expected.
        """
        self._do(lambda: self._page.goto(f"{ORIGIN}{quote(name)}{'?' if query else ''}{query}"))
        # A module that waits for what it fetches is not done when the page has loaded.
        deadline = time.monotonic() + SCENE_SECONDS
        while not self._do(lambda: self._page.evaluate(IS_SET)) and time.monotonic() < deadline:
            self._do(lambda: self._page.wait_for_timeout(20))
        said = self._do(lambda: self._page.evaluate(SAY))
        self._do(lambda: self._page.evaluate(LOAD_FONTS))
        return read_scene(said, page=name)

    def resize(self, width: int, height: int) -> None:
        """Give the window a size, in pixels."""
        self._do(lambda: self._page.set_viewport_size({"width": width, "height": height}))

    def draw(self, frame: int, *, fps: Fraction, kind: Literal["png", "jpeg"] = "png", clear: bool = False) -> bytes:
        """Bring the page to a frame.

        Args:
            frame: Its number.
            fps: Frames per second, which tell its time.
            kind: What the picture is to be.
            clear: Leave out the white behind the page.

        Returns:
            The picture's file.

        Raises:
            RequestError: The page threw an error, or something that it reads is missing.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        self._do(lambda: self._page.evaluate(DRAW, {"frame": frame, "seconds": float(frame / fps)}))
        quality = JPEG_QUALITY if kind == "jpeg" else None
        while True:
            picture: bytes = self._do(
                lambda: self._page.screenshot(type=kind, quality=quality, omit_background=clear, animations="allow")
            )
            if not self._waiting:
                return picture
            # Something that styles name is still on its way, and the picture may be without it.
            while self._waiting:
                if time.monotonic() > deadline:
                    late = next(iter(self._waiting)).url.removeprefix(ORIGIN)
                    raise PageError(f"{late} did not arrive within {PATIENCE_SECONDS:g} s")
                self._do(lambda: self._page.wait_for_timeout(10))

    def _do(self, act: Any) -> Any:
        """Do something with the page, and raise what it complains of."""
        error = playwright().Error
        try:
            done = act()
        except error as exc:
            if self._wrong:
                raise PageError(self._wrong[0]) from None
            if "closed" in exc.message or "crashed" in exc.message:
                raise WorkerUnavailableError(f"Chromium ended: {exc.message.splitlines()[0]}") from exc
            raise PageError(error_words(exc.message)) from None
        if self._wrong:
            raise PageError(self._wrong[0])
        return done

    def _answer(self, route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path).lstrip("/")
        file = self._folder / path
        if not file.is_file():
            route.fulfill(status=404)
            return
        if path not in self.files:
            self.files.append(path)
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        text = kind.startswith("text/") or kind in {"application/javascript", "application/json", "image/svg+xml"}
        route.fulfill(body=file.read_bytes(), content_type=f"{kind}; charset=utf-8" if text else kind)

    def _answered(self, url: str, status: int) -> None:
        host = urlsplit(url).netloc
        if not url.startswith(ORIGIN) and host and host not in self.hosts:
            self.hosts.append(host)
        name = url.removeprefix(ORIGIN)
        if status >= 400 and name != "favicon.ico":
            reason = "is missing, which it reads" if url.startswith(ORIGIN) else f"is answered with HTTP {status}"
            self._wrong.append(f"{unquote(name)} {reason}")

    def _has_failed(self, request: Request) -> None:
        self._waiting.discard(request)
        # What the page itself gave up is no fault of it, such as an image whose address it changed.
        if request.failure != "net::ERR_ABORTED":
            self._wrong.append(f"{request.url.removeprefix(ORIGIN)} can't be read: {request.failure}")


@contextmanager
def open_page(name: str, *, folder: Path, browser: str | None = None) -> Iterator[OpenPage]:
    """Run Chromium with an empty page for the block.

    Raises:
        RequestError: There is no such file, or no Chromium.
        WorkerUnavailableError: Chromium does not start.
    """
    if not (folder / name).is_file():
        raise RequestError(f"{name} is not a file in the job directory")
    with open_browser(browser) as running:
        yield OpenPage(running.new_page(), folder=folder)
