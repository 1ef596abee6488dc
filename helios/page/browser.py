"""Start Chromium, and end it."""

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from helios.errors import RequestError, WorkerUnavailableError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Names of Chromium on PATH, in the order in which they are looked for."""
FLAGS = (
    "--disable-gpu",  # pixels are computed alike on every machine
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--disable-dev-shm-usage",  # containers have 64 MiB of shared memory, which a large page fills
)
"""Of Chromium's command line."""
LONGEST_TEMPORARY = 60
"""Bytes: a socket's path has at most 107, of which Chromium's own part takes 47."""


def playwright() -> Any:
    """The library's synchronous interface.

    Raises:
        RequestError: It is not installed.
    """
    try:
        return importlib.import_module("playwright.sync_api")
    except ImportError:
        raise RequestError("Pages need Playwright here: pip install 'helios-render[page]'") from None


def find_browser(program: str | None) -> str | None:
    """The path of Chromium; None for the one that Playwright has installed for itself.

    Args:
        program: What a person names: a path or a name on PATH; None to look for it.

    Raises:
        RequestError: The named one is not there.
    """
    if program is None:
        return next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if (path := shutil.which(os.path.expanduser(program))) is None:
        raise RequestError(f"The browser {program!r} is not there; name Chromium's program (--browser)")
    return path


@contextmanager
def _short_temporary() -> Iterator[str]:
    """A path of TMPDIR into which Chromium's socket fits: by this process's handle, where its own is too long.

    The folders of a farm's node, and of any worker with a deep folder, are.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) <= LONGEST_TEMPORARY:
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/{os.getpid()}/fd/{handle}"
    finally:
        os.close(handle)


@contextmanager
def open_browser(program: str | None = None) -> Iterator["Browser"]:
    """Run Chromium for the block.

    Raises:
        RequestError: Playwright or Chromium is not installed.
        WorkerUnavailableError: Chromium does not start.
    """
    library, path = playwright(), find_browser(program)
    with library.sync_playwright() as play, _short_temporary() as temporary:
        try:
            browser = play.chromium.launch(
                executable_path=path, args=list(FLAGS), env={**os.environ, "TMPDIR": temporary}
            )
        except library.Error as exc:
            reason = str(exc.message).strip()
            if "Executable doesn't exist" in reason:
                raise RequestError(
                    f"Chromium is not there: none of {', '.join(PROGRAMS)} is on PATH. Install it (Debian's package "
                    "chromium, or `playwright install chromium`)"
                ) from None
            first = next(iter(reason.splitlines()), "")
            raise WorkerUnavailableError(f"{path or 'Chromium'} does not start: {first}") from exc
        try:
            yield browser
        finally:
            browser.close()
