"""What a farm has on its Prefect server: the work pool with its queues, limits over all jobs, and the deployments."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from adapters import limit_name
from farm.checkout import CHECKOUT
from farm.errors import ServerStartError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

POOL = "helios"
"""The work pool that prefect.yaml names."""
SHOWN_LINES = 5
QUEUES = ("urgent", "default", "background")
"""The pool's work queues, by priority."""
LIMITS = {"local": os.cpu_count() or 1, "aws-lambda": 1000, "cloud-run": 100, "cloud-run-job": 1000}
"""Chunks in flight over all jobs, by adapter: this machine's CPUs, and what new accounts may have at a time."""


async def make_pool() -> None:
    """Make the work pool with its queues, the limits, and what hands runs over, where they are not there."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    from tasks.prefect_api.client import api_client
    from tasks.run.hand_over import ensure_hand_overs

    template = ProcessWorker.get_default_base_job_template()
    async with api_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
            await _make_queues(client)
        await _make_limits(client)
        await ensure_hand_overs(client)


async def _make_queues(client: "PrefectClient") -> None:
    """Make the queues; runs in a queue start before runs in the queues after it."""
    from prefect.client.schemas.filters import WorkQueueFilter, WorkQueueFilterName

    for priority, name in enumerate(QUEUES, start=1):
        wanted = WorkQueueFilter(name=WorkQueueFilterName(any_=[name]))
        found = await client.read_work_queues(work_pool_name=POOL, work_queue_filter=wanted)
        if found:
            await client.update_work_queue(found[0].id, priority=priority)
        else:
            await client.create_work_queue(name, work_pool_name=POOL, priority=priority)


async def _make_limits(client: "PrefectClient") -> None:
    """Make the limits over all jobs; a limit that exists stays as it is."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists

    there = {limit.name for limit in await client.read_global_concurrency_limits(limit=200)}
    for adapter, slots in LIMITS.items():
        if (name := limit_name(adapter)) not in there:
            with suppress(ObjectAlreadyExists):
                await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))


def deploy() -> None:
    """Do what `prefect deploy --all` does."""
    prefect = shutil.which("prefect") or str(Path(sys.executable).with_name("prefect"))
    done = subprocess.run(
        [prefect, "--no-prompt", "deploy", "--all"],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:]
        raise ServerStartError("\n  ".join(["The deployments could not be made (prefect deploy --all):", *lines]))


async def describe_deployments() -> list[str]:
    """A line for each deployment, by name."""
    from farm.deployments import list_deployments
    from tasks.prefect_api.client import api_client

    async with api_client() as client:
        found = await list_deployments(client)
    return [f"{f'{flow}/{deployment.name}':<24} {deployment.description or ''}" for flow, deployment in found]
