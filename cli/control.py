"""`helios-job list`, `status`, `cancel`, `pause`, `resume`: what became of jobs, and what is to become of them."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from cli.adapter_option import read_adapter
from cli.outcome import show_outcome
from helios.errors import RequestError

T = TypeVar("T")
CANCEL_WAIT_SECONDS = 60.0
MASKED = "********"
"""How Prefect shows a secret among a run's parameters."""


@click.command("list", epilog="Example: helios-job list --limit 50")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="How many, the newest first.")
def list_command(limit: int) -> int:
    """List jobs. Runs whose process died are marked as crashed."""
    from tasks.job_runs import list_runs

    for status in _ask(lambda client: list_runs(client, limit=limit)):
        click.echo(f"{status.run.id}  {status.state:<10} {status.run.name:<32} {status.message}")
    return 0


@click.command(epilog="Example: helios-job status job-3f9a2c")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(run: str, as_json: bool) -> int:
    """Say where a run stands. RUN is its id or its name."""
    from tasks.job_runs import find_run

    found = _ask(lambda client: find_run(client, run))
    if as_json:
        holder = found.holder.model_dump(include={"host", "pid"}) if found.holder else None
        document = {"runId": str(found.run.id), "name": found.run.name, "state": found.state}
        click.echo(json.dumps(document | {"message": found.message, "process": holder}, indent=2))
        return 0
    click.echo(f"{found.run.name} ({found.run.id}): {found.state}")
    if found.message:
        click.echo(f"  {found.message}")
    if found.holder is not None:
        click.echo(f"  process {found.holder.pid} on {found.holder.host}")
    return 0


@click.command(epilog="Example: helios-job cancel job-3f9a2c")
@click.argument("run")
@click.option("--no-wait", is_flag=True, help="Do not wait until all of its processes have ended.")
def cancel(run: str, no_wait: bool) -> int:
    """Stop a run: nothing new starts, and every process of it ends. What is accepted stays."""
    from tasks.job_runs import cancel_run, find_run
    from tasks.job_state import ENDED

    async def stop(client: Any) -> str:
        found = await find_run(client, run)
        await cancel_run(client, found)
        deadline = time.monotonic() + (0 if no_wait else CANCEL_WAIT_SECONDS)
        while time.monotonic() < deadline:
            now = await find_run(client, str(found.run.id))
            if now.state in ENDED and now.holder is None:
                return f"{found.run.name}: {now.state}"
            await asyncio.sleep(0.2)
        return f"{found.run.name} is being cancelled"

    click.echo(_ask(stop))
    return 0


@click.command(epilog="Example: helios-job pause job-3f9a2c; helios-job resume job-3f9a2c")
@click.argument("run")
def pause(run: str) -> int:
    """Let a run's chunks in flight finish, and start nothing new until it is resumed."""
    from tasks.job_runs import find_run, pause_run

    async def stop(client: Any) -> str:
        found = await find_run(client, run)
        await pause_run(client, found)
        return f"{found.run.name} is paused; helios-job resume {found.run.id} goes on"

    click.echo(_ask(stop))
    return 0


@click.command(epilog="Example: helios-job resume job-3f9a2c")
@click.argument("run")
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, if the run's hold secrets.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def resume(run: str, adapter_config: str | None, as_json: bool) -> int:
    """Go on with a run where it stopped, whatever stopped it: accepted chunks that are still there are reused.

    A paused run continues. One of a deployment is given to a worker; any other is carried out here.
    """
    from cli.flow_process import a_server, carry_out
    from tasks.job_runs import JobRunStatus, Resumed, find_run, resume_run
    from tasks.last_states import count_ended

    async def go_on(client: Any) -> tuple[JobRunStatus, Resumed, dict[str, Any], int]:
        found = await find_run(client, run)
        parameters = _parameters(found.run.parameters, adapter_config, has_deployment=bool(found.run.deployment_id))
        return found, await resume_run(client, found), parameters, await count_ended(client, str(found.run.id))

    with a_server() as screen:
        found, how, parameters, ended_before = asyncio.run(_with_client(go_on))
        match how:
            case Resumed.CONTINUED:
                click.echo(f"{found.run.name} continues")
                return 0
            case Resumed.SCHEDULED:
                click.echo(f"{found.run.name} waits for a worker of the pool {found.run.work_pool_name}")
                return 0
            case Resumed.HERE:
                outcome = carry_out(found.run, parameters, title=found.run.name, ended_before=ended_before)
                screen.show(outcome)
    return show_outcome(*outcome, as_json=as_json)


def _parameters(saved: dict[str, Any], adapter_config: str | None, *, has_deployment: bool) -> dict[str, Any]:
    """A run's parameters, with the adapter's settings replaced where they are given."""
    adapter = saved.get("adapter", "local")
    if adapter_config is not None:
        if has_deployment:
            raise RequestError("--adapter-config is for runs that are carried out here; a worker has its own settings")
        name = adapter.get("type", "local") if isinstance(adapter, dict) else str(adapter)
        return {**saved, "adapter": read_adapter(name, adapter_config)}
    if MASKED in json.dumps(adapter, default=str):
        raise RequestError(
            "The run's adapter settings hold secrets, which Prefect does not keep; give the settings again "
            "(--adapter-config), or save them as a block"
        )
    return saved


def _ask(question: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Ask Prefect, of the configured server or one that is started for it."""
    from cli.server import prefect_server

    with prefect_server():
        return asyncio.run(_with_client(question))


async def _with_client(question: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    from prefect.client.orchestration import get_client

    from tasks.dead_runs import mark_dead_runs

    async with get_client() as client:
        # Whoever looks is told the truth, and leaves it behind for the next.
        await mark_dead_runs(client)
        return await question(client)
