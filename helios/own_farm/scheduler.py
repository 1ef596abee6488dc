"""The scheduler of a farm: a process that knows its nodes. It renders nothing and holds no files."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from helios.errors import RequestError
from helios.own_farm.certificates import farm_security
from helios.own_farm.engine import LOOK_SECONDS, beat_seconds, close_http, set_up_engine
from helios.own_farm.join_token import JoinToken, draw_secret, kept_token_path, parse_token
from helios.own_farm.node_state import NODES, NodeState, read_nodes, said_by_nodes
from helios.processes.own_memory import hide_memory
from helios.processes.parent import wait_until_parent_ends


def farm_token(host: str | None, port: int, *, new_secret: bool = False) -> JoinToken:
    """The token of the farm that this user starts here: the kept secret, with the address of this machine.

    Args:
        host: This machine's name or address, as nodes reach it; found by the way to other machines when None.
        port: The scheduler's.
        new_secret: Draw a new secret in any case.
    """
    secret = None
    if not new_secret:
        with suppress(OSError, RequestError):
            secret = parse_token(kept_token_path().read_text()).secret
    if host is None:
        from distributed.utils import get_ip

        host = str(get_ip())
    return parse_token(JoinToken(host, port, secret or draw_secret()).text)


def _at_eof(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    wait_until_parent_ends()
    loop.call_soon_threadsafe(stopped.set)


def _slower(scheduler: Any) -> Callable[..., dict[str, Any]]:
    """What answers a node's report: as Dask does, with the time until the next one as a farm wants it."""
    answer = scheduler.handlers["heartbeat_worker"]

    def heartbeat(*given: Any, **named: Any) -> dict[str, Any]:
        said: dict[str, Any] = answer(*given, **named)
        return (
            {**said, "heartbeat-interval": beat_seconds(len(scheduler.workers))}
            if "heartbeat-interval" in said
            else said
        )

    return heartbeat


async def serve_farm(
    token: JoinToken, *, listen: str = "", dashboard: str | None = None, on_ready: Callable[[], None],
    beside: Callable[[Callable[[], list[NodeState]]], Coroutine[Any, Any, None]] | None = None,
    until_eof: bool = False,
) -> None:  # fmt: skip
    """Be a farm's scheduler until SIGTERM or SIGINT.

    Args:
        token: Its address, as nodes reach it, and its secret.
        listen: The address of this machine on which it listens; all of them when empty.
        dashboard: Where Dask's dashboard is shown, such as `127.0.0.1:8787`; None for nowhere.
        on_ready: Called once nodes can join.
        beside: Runs meanwhile, given a function that says which nodes there are; what it raises is its own affair.
        until_eof: Also end when standard input does, as it does when the process at its other end dies.

    Raises:
        RequestError: Its port is taken, or the address is not this machine's.
    """
    hide_memory()
    set_up_engine()
    from distributed import Scheduler

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    scheduler = Scheduler(
        host=listen or None,
        port=token.port,
        protocol="tls",
        contact_address=token.address,
        security=farm_security(token.secret),
        dashboard=dashboard is not None,
        dashboard_address=dashboard or "127.0.0.1:0",
    )
    # What adapters ask for twice a second: a tenth of the scheduler's own account of its nodes.
    scheduler.handlers[NODES] = lambda: said_by_nodes(scheduler)
    scheduler.handlers["heartbeat_worker"] = _slower(scheduler)
    # All of them look at what changes with a node's coming and going, or with a chunk's; Dask does four times a second.
    for name in ("worker-ttl", "idle-timeout", "no-workers-timeout"):
        scheduler.periodic_callbacks[name].callback_time = LOOK_SECONDS * 1000
    try:
        await scheduler
    except OSError as exc:
        raise RequestError(
            f"The farm's scheduler can't listen on port {token.port} ({exc.strerror or exc}); stop what has it, or "
            "name another one (--port)"
        ) from None
    if dashboard is None:
        close_http(scheduler)
    if until_eof:
        threading.Thread(target=_at_eof, args=(loop, stopped), daemon=True).start()
    watching = asyncio.ensure_future(beside(lambda: read_nodes(said_by_nodes(scheduler)))) if beside else None
    try:
        on_ready()
        await stopped.wait()
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        await scheduler.close(reason="the farm was stopped")
