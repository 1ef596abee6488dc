"""`helios-job up`: a whole farm on this machine, until Ctrl-C."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters import limit_name
from cli.errors import ServerStartError
from cli.worker import work
from helios.errors import RequestError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

CHECKOUT = Path(__file__).parents[1]
"""Where prefect.yaml is."""
POOL = "helios"
"""The work pool that prefect.yaml names."""
SHOWN_LINES = 5
QUEUES = ("urgent", "default", "background")
"""The pool's work queues, by priority."""
LIMITS = {"local": os.cpu_count() or 1, "aws-lambda": 1000, "cloud-run": 100, "cloud-run-job": 1000}
"""Chunks in flight over all jobs, by adapter: this machine's CPUs, and what new accounts may have at a time."""


@click.command(epilog="Example: helios-job up --port 4200 --limit 2")
@click.option("--port", default=4200, show_default=True, type=click.IntRange(1, 65535), help="Of the Prefect server.")
@click.option("--limit", type=click.IntRange(min=1), help="Jobs at a time on this machine. [default: no limit]")
def up(port: int, limit: int | None) -> int:
    """Start a Prefect server, the deployments and a worker; Ctrl-C stops all of it, running jobs included.

    A Prefect server that is configured (PREFECT_API_URL) is used, and left running.
    """
    from prefect.settings import PREFECT_API_URL

    from cli.server import announced_farm, find_farm, prefect_server

    if PREFECT_API_URL.value() is None:
        if running := find_farm():
            raise RequestError(f"A farm is up already: {running.removesuffix('/api')}")
        _check_free(port)
        click.echo("Starting Prefect; the first time, it makes its database …")
    with ExitStack() as stack:
        own_ui = stack.enter_context(prefect_server(port=port))
        url = str(PREFECT_API_URL.value())
        # For the processes of the deploy command, and of the worker's jobs.
        os.environ["PREFECT_API_URL"] = url
        if own_ui:
            stack.enter_context(announced_farm(url))
        asyncio.run(_make_pool())
        _deploy()
        _say_what_is_where(url.removesuffix("/api"), asyncio.run(_describe_deployments()))
        asyncio.run(work(POOL, limit))
    click.echo("Stopped")
    return 0


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise RequestError(
                f"Port {port} can't be used ({exc.strerror}); choose another one (--port), or, if it is a Prefect "
                f"server's, have that one used: PREFECT_API_URL=http://127.0.0.1:{port}/api"
            ) from None


async def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
            await _make_queues(client)
        await _make_limits(client)


async def _make_queues(client: "PrefectClient") -> None:
    """What is in the first queue starts before what is in the next."""
    from prefect.client.schemas.filters import WorkQueueFilter, WorkQueueFilterName

    for priority, name in enumerate(QUEUES, start=1):
        wanted = WorkQueueFilter(name=WorkQueueFilterName(any_=[name]))
        found = await client.read_work_queues(work_pool_name=POOL, work_queue_filter=wanted)
        if found:
            await client.update_work_queue(found[0].id, priority=priority)
        else:
            await client.create_work_queue(name, work_pool_name=POOL, priority=priority)


async def _make_limits(client: "PrefectClient") -> None:
    """Bound what is in flight over all jobs; a limit that is there stays as it is."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists

    there = {limit.name for limit in await client.read_global_concurrency_limits(limit=200)}
    for adapter, slots in LIMITS.items():
        if (name := limit_name(adapter)) not in there:
            with suppress(ObjectAlreadyExists):
                await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))


def _deploy() -> None:
    """Do what `prefect deploy --all` does."""
    prefect = shutil.which("prefect") or str(Path(sys.executable).with_name("prefect"))
    done = subprocess.run(
        [prefect, "--no-prompt", "deploy", "--all"],
        cwd=CHECKOUT,
        env={**os.environ, "PWD": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:]
        raise ServerStartError("\n  ".join(["The deployments could not be made (prefect deploy --all):", *lines]))


async def _describe_deployments() -> list[str]:
    from prefect.client.orchestration import get_client

    from tasks.job_runs import FLOW_NAME, list_deployments

    async with get_client() as client:
        found = await list_deployments(client)
    return [f"{f'{FLOW_NAME}/{deployment.name}':<24} {deployment.description or ''}" for deployment in found]


def _say_what_is_where(ui: str, deployments: list[str]) -> None:
    first, *others = deployments
    lines = [
        f"Prefect's UI   {ui}",
        f"Deployments    {first}",
        *(f"{'':<14} {deployment}" for deployment in others),
        f"Worker         on this machine, of the work pool {POOL}; its queues: {', '.join(QUEUES)}",
        f"Limits         {', '.join(f'{limit_name(adapter)}: {slots}' for adapter, slots in LIMITS.items())}",
        f"Render         helios-job submit job.json --output video.mp4, or Run in the UI: {ui}/deployments",
        "Ctrl-C stops all of it.",
    ]
    click.echo("\n".join(lines))
