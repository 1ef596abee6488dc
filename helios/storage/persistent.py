"""Try an operation on storage again while its server is away."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from helios.errors import WorkerUnavailableError
from helios.storage.exchanges import UnansweredError

P = ParamSpec("P")
T = TypeVar("T")
PAUSES_SECONDS = (0.2, 1.0, 3.0)
"""Before an operation is tried again as a whole: obstore does not repeat a transfer that broke in the middle."""


def persistent(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Try an operation again while its server is away."""

    @wraps(method)
    async def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in PAUSES_SECONDS:
            try:
                return await method(*args, **kwargs)
            except UnansweredError:
                raise  # it has had its time
            except WorkerUnavailableError:
                await asyncio.sleep(pause)
        return await method(*args, **kwargs)

    return tried
