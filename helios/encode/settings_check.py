"""Settings that an encoder does not know, which encoders pass over in silence: it says so to FFmpeg's log alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

from helios.encode.recipe import Recipe
from helios.errors import RequestError

REFUSED = re.compile(r"Error parsing option|Unknown option|Invalid value for")
"""What FFmpeg's libx264, libx265 and libsvtav1 write as a warning about a name or a value of the encoder's own."""


@contextmanager
def settings_checked(recipe: Recipe) -> Iterator[None]:
    """Open an encoder within the block, in this thread, and do nothing else.

    An encoder at work that writes to the log waits for a lock that its caller holds.

    Raises:
        RequestError: It did not take a setting of `--params`.
    """
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=True) as told:
            yield
    finally:
        av.logging.set_level(before)
    for _, _, message in told:
        if REFUSED.search(message):
            raise _refused(recipe, message.strip().rstrip("."))


def check_options(recipe: Recipe, *, given: dict[str, str], left: dict[str, str]) -> None:
    """Refuse FFmpeg's options that an encoder left over when it was opened.

    Args:
        recipe: What was asked for.
        given: The options.
        left: Those that nobody took.

    Raises:
        RequestError: Names the first one.
    """
    for name in given:
        if name in left:
            raise _refused(recipe, f"Unknown option: {name}")


def _refused(recipe: Recipe, message: str) -> RequestError:
    return RequestError(
        f"{recipe.how.encoder} does not take the settings {recipe.params!r} (--params): {message}; expected names and "
        f"values of {'its own' if recipe.how.params else 'the options that FFmpeg has for it'}"
    )
