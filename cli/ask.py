"""Query Prefect's API: on the configured server, or on a server that is started for the query."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Question = Callable[[Any], Coroutine[Any, Any, T]]
"""Takes Prefect's client."""


def ask(question: Question[T]) -> T:
    """Have a Prefect API, and ask."""
    from farm import prefect_server

    with prefect_server():
        return asyncio.run(with_client(question))


async def with_client(question: Question[T]) -> T:
    """Ask, with a Prefect API at hand."""
    from farm.finding import opened

    async with opened(None) as client:
        return await question(client)
