"""Do many things at once, but not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_bounded(
    function: Callable[[Item], Awaitable[Result]], items: Sequence[Item], *, limit: int
) -> list[Result]:
    """Await `function(item)` for every item, at most `limit` at a time; the first error stops the others.

    Returns:
        The results, in the order of the items.
    """
    results: dict[int, Result] = {}
    pending = iter(enumerate(items))

    async def pull() -> None:
        for index, item in pending:
            results[index] = await function(item)

    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(min(limit, len(items))):
                pullers.create_task(pull())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return [results[index] for index in range(len(items))]
