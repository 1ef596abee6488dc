"""`helios-job up`: a whole farm on this machine, until Ctrl-C."""

import asyncio
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from adapters import limit_name
from cli.say import say
from farm.setup import LIMITS, POOL, QUEUES, deploy, describe_deployments, make_pool
from farm.worker import work
from helios.errors import RequestError
from helios.variables import ALLOW_INLINE

if TYPE_CHECKING:
    from farm.server.credentials import ServerAccess


@click.command(epilog="Example: helios-job up --port 4200 --limit 2")
@click.option("--port", default=4200, show_default=True, type=click.IntRange(1, 65535), help="Of the Prefect server.")
@click.option("--limit", type=click.IntRange(min=1), help="Jobs at a time on this machine. [default: no limit]")
@click.option("--farm", "with_farm", is_flag=True, help="An own farm's scheduler too, as helios-job farm start.")
@click.option("--no-worker", is_flag=True, help="Make the deployments on the configured server, and end.")
def up(port: int, limit: int | None, with_farm: bool, no_worker: bool) -> int:
    """Start a Prefect server, the deployments and a worker; Ctrl-C stops all of it, running jobs included.

    A Prefect server that is configured (PREFECT_API_URL) is used, and left running.
    """
    from prefect.settings import PREFECT_API_URL

    from farm.server.connect import prefect_server
    from farm.server.credentials import announced_farm, export_client_settings, find_farm

    if with_farm and no_worker:
        raise RequestError("--farm needs a command that goes on; leave out --no-worker, or run helios-job farm start")
    if PREFECT_API_URL.value() is None:
        if no_worker:
            raise RequestError("--no-worker needs a Prefect server that goes on; name it: PREFECT_API_URL=http://…/api")
        if running := find_farm():
            raise RequestError(f"A farm is up already; this link opens its UI, once: {running.new_link()}")
        _check_free(port)
        say("Starting Prefect; the first time, it makes its database …")
    with ExitStack() as stack:
        own = stack.enter_context(prefect_server(port=port))
        export_client_settings()  # for the deploy command, and the worker's jobs
        if own:
            stack.enter_context(announced_farm(own))
        asyncio.run(make_pool())
        deploy()
        if with_farm:
            from farm.own_farm import started_farm

            stack.enter_context(started_farm(say=say))
        _say_what_is_where(own, asyncio.run(describe_deployments()), has_worker=not no_worker)
        if no_worker:
            return 0
        os.environ.setdefault(ALLOW_INLINE, "yes" if own else "no")  # its own server lets in its user alone
        asyncio.run(work(POOL, limit, say=say))
    say("Stopped")
    return 0


def _check_free(port: int) -> None:
    from farm.server.process import bound_socket

    try:
        bound_socket(port).close()
    except OSError as exc:
        raise RequestError(
            f"Port {port} can't be used ({exc.strerror}); choose another one (--port), or, if it is a Prefect "
            f"server's, have that one used: PREFECT_API_URL=http://127.0.0.1:{port}/api"
        ) from None


def _say_what_is_where(own: "ServerAccess | None", deployments: list[str], *, has_worker: bool) -> None:
    from prefect.settings import PREFECT_API_URL

    first, *others = deployments
    ui = str(PREFECT_API_URL.value()).removesuffix("/api")
    worker = "on this machine, of the work pool" if has_worker else "none here; helios-job worker is one, of the pool"
    lines = [
        *(
            [
                f"Prefect's UI   {own.new_link()}",
                f"{'':<14} The link works once; helios-job up in another terminal prints a new one.",
            ]
            if own
            else [f"Prefect's UI   {ui}"]
        ),
        f"Deployments    {first}",
        *(f"{'':<14} {deployment}" for deployment in others),
        f"Worker         {worker} {POOL}; its queues: {', '.join(QUEUES)}",
        f"Limits         {', '.join(f'{limit_name(adapter)}: {slots}' for adapter, slots in LIMITS.items())}",
        f"Render         helios-job submit job.json --output video.mp4, or Run in the UI: {ui}/deployments",
        *(['Commands       helios-job finds the server; prefect does after: eval "$(helios-job env)"'] if own else []),
        *(["Ctrl-C stops all of it."] if has_worker else []),
    ]
    say("\n".join(lines))
