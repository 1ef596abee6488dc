"""Start something at Prefect's API that takes minutes to come, and that a busy moment of the server must not end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tasks.prefect_api.api import UNREACHABLE
from tasks.prefect_api.log import RunLogger

T = TypeVar("T")
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0, 30.0)
"""Between tries: two and a half minutes together, beside what Prefect's client waits by itself."""


async def until_taken(
    start: Callable[[], Awaitable[T]], *, what: str, log: RunLogger, pauses: Sequence[float] = PAUSES_SECONDS
) -> T:
    """Start something, again and again while the API is away or busy.

    Args:
        start: Starts it, and can be repeated.
        what: It, for the log.
        log: The run's.
        pauses: Seconds between tries.

    Raises:
        UNREACHABLE: The last try failed, too.
    """
    for pause in pauses:
        try:
            return await start()
        except UNREACHABLE as exc:
            log.warning("%s waits for Prefect's API, which is asked again in %g s: %s", what, pause, first_line(exc))
            await asyncio.sleep(pause)
    return await start()


def first_line(error: BaseException) -> str:
    """The first line of an error of Prefect's client, which has several."""
    return next(iter(str(error).splitlines()), type(error).__name__)
