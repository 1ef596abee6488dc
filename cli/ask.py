"""Ask Prefect something: of the configured server, or of one that is started for the question."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Question = Callable[[Any], Coroutine[Any, Any, T]]
"""Takes Prefect's client."""


def ask(question: Question[T]) -> T:
    """Have a Prefect API, and ask."""
    from farm.server.connect import prefect_server

    with prefect_server():
        return asyncio.run(with_client(question))


async def with_client(question: Question[T]) -> T:
    """Ask, with a Prefect API at hand. Runs whose process died are marked as crashed before."""
    from prefect.client.orchestration import get_client

    from farm.dead_runs import mark_dead_runs

    async with get_client() as client:
        # Whoever looks is told the truth, and leaves it behind for the next.
        await mark_dead_runs(client)
        return await question(client)
