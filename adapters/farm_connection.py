"""A flow's connection to the scheduler of its farm."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from adapters.remote import AnswerLostError
from helios.errors import RequestError, WorkerUnavailableError
from helios.own_farm.engine import CONNECT_SECONDS, is_refusal
from helios.own_farm.join_token import JoinToken
from helios.own_farm.node_state import NodeState
from helios.own_farm.work import leave

TELL_SECONDS = 5.0
"""How long a node is waited for that is told something: a frozen one would be waited for until it is given up."""


class NodeLeftError(Exception):
    """What is known of the nodes was older than a node's end."""


class NodeGoneError(AnswerLostError):
    """A node is gone, with the chunk that it rendered."""


async def connect(token: JoinToken, security: Any, *, place: str, seconds: float) -> Any:
    """Connect to a scheduler; a `distributed.Client`.

    Args:
        token: Which farm.
        security: Dask's security settings.
        place: How messages call the farm.
        seconds: How long to wait for a scheduler that is away.

    Raises:
        RequestError: The farm has another secret.
        WorkerUnavailableError: There is no scheduler at the token's address.
    """
    from distributed import Client

    deadline = time.monotonic() + seconds
    while True:
        try:
            return await Client(
                token.address, asynchronous=True, security=security, set_as_default=False,
                timeout=CONNECT_SECONDS, name="helios-flow",
            )  # fmt: skip
        except (OSError, TimeoutError) as exc:
            if is_refusal(exc):
                raise RequestError(f"{place} has another secret than the join token; take the token that "
                                   "helios-job farm start prints there") from None  # fmt: skip
            if time.monotonic() >= deadline:
                raise WorkerUnavailableError(
                    f"{place} can't be reached; start it (helios-job farm start), or correct the join token"
                ) from None
            await asyncio.sleep(1)


async def result_of(
    future: Any, delivered: "asyncio.Future[bytes] | None", *, node: str, place: str
) -> str | bytes:  # fmt: skip
    """What a node answered.

    Args:
        future: Dask's, of the chunk.
        delivered: Gets the answer where the node hands it to this process: Dask fetches a result by way of the
            scheduler, which costs more than all else that the scheduler does for a chunk.
        node: The node's name.
        place: How messages call the farm.

    Raises:
        AnswerLostError: The node or the scheduler is gone, and so is the chunk.
        NodeLeftError: The node had left before the chunk reached it.
    """
    from distributed import KilledWorker, wait
    from distributed.client import FutureCancelledError, FuturesCancelledError
    from distributed.scheduler import NoValidWorkerError

    with future.client.as_current():  # where wait looks for it
        over = asyncio.ensure_future(wait([future]))
    try:
        await asyncio.wait([over, *([delivered] if delivered else [])], return_when=asyncio.FIRST_COMPLETED)
        if delivered is not None and delivered.done():
            return delivered.result()
        await over
        return str(await future)
    except NoValidWorkerError:
        raise NodeLeftError from None
    except KilledWorker:
        raise NodeGoneError(f"The node {node} is gone, with the chunk that it rendered") from None
    except (FutureCancelledError, FuturesCancelledError):
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError from None
        raise AnswerLostError(f"{place} is gone, with the chunks that its nodes rendered") from None
    finally:
        over.cancel()


async def tell_node(client: Any, function: Callable[[str], Any], word: str, *, address: str) -> None:
    """Call a function on a node, and wait until it was called; not where the node is gone, or silent."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(TELL_SECONDS):
            await client.run(function, word, workers=[address], on_error="ignore")


async def let_go(client: Any, nodes: Sequence[NodeState]) -> None:
    """Ask nodes to end, once what they render is finished."""
    await client.run(leave, workers=[node.address for node in nodes], on_error="ignore")
