"""`helios-job cancel`, `pause`, `resume`, `retry`, `delete`: what is to become of jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from cli.adapter_option import holds_secrets, read_adapter
from cli.ask import ask, with_client
from cli.outcome import show_outcome
from helios.errors import RequestError

if TYPE_CHECKING:  # they import Prefect
    from farm.runs import JobRunStatus, Resumed

CANCEL_WAIT_SECONDS = 60.0


@click.command(epilog="Example: helios-job cancel job-3f9a2c")
@click.argument("run")
@click.option("--no-wait", is_flag=True, help="Do not wait until all of its processes have ended.")
def cancel(run: str, no_wait: bool) -> int:
    """Stop a run: nothing new starts, and every process of it ends. What is accepted stays."""
    from farm.runs import cancel_run, find_run
    from farm.watch import wait_for_run

    async def stop(client: Any) -> str:
        found = await find_run(client, run)
        await cancel_run(client, found)
        if not no_wait:
            with suppress(TimeoutError):
                ended = await asyncio.wait_for(wait_for_run(client, found), CANCEL_WAIT_SECONDS)
                return f"{found.run.name}: {ended.state}"
        return f"{found.run.name} is being cancelled"

    click.echo(ask(stop))
    return 0


@click.command(epilog="Example: helios-job pause job-3f9a2c; helios-job resume job-3f9a2c")
@click.argument("run")
def pause(run: str) -> int:
    """Let a run's chunks in flight finish, and start nothing new until it is resumed."""
    from farm.runs import find_run, pause_run

    async def stop(client: Any) -> str:
        found = await find_run(client, run)
        await pause_run(client, found)
        return f"{found.run.name} is paused; helios-job resume {found.run.id} goes on"

    click.echo(ask(stop))
    return 0


@click.command(epilog="Example: helios-job resume job-3f9a2c")
@click.argument("run")
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, if the run's hold secrets.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def resume(run: str, adapter_config: str | None, as_json: bool) -> int:
    """Go on with a run where it stopped, whatever stopped it: accepted chunks that are still there are reused.

    A paused run continues. One of a deployment is given to a worker; any other is carried out here.
    """
    from farm.runs import resume_run

    return _go_on(run, resume_run, adapter_config=adapter_config, as_json=as_json)


@click.command(epilog="Example: helios-job retry job-3f9a2c")
@click.argument("run")
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, if the run's hold secrets.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def retry(run: str, adapter_config: str | None, as_json: bool) -> int:
    """Run a run that has ended once more, as Retry in Prefect's UI does: accepted chunks are reused."""
    from farm.runs import retry_run

    return _go_on(run, retry_run, adapter_config=adapter_config, as_json=as_json)


@click.command(epilog="Example: helios-job delete job-3f9a2c")
@click.argument("run")
def delete(run: str) -> int:
    """Remove a run that has ended: from Prefect, and what it left in storage. Its video and its chunks stay."""
    from farm.leftovers import remove_leftovers
    from farm.runs import delete_run, find_run

    async def remove(client: Any) -> str:
        found = await find_run(client, run)
        await delete_run(client, found)
        said = await remove_leftovers(client, found.run)
        return "\n  ".join([f"{found.run.name} ({found.run.id}) is deleted", *said])

    click.echo(ask(remove))
    return 0


def _go_on(
    name: str,
    how_to: "Callable[[Any, JobRunStatus], Awaitable[Resumed]]",
    *,
    adapter_config: str | None,
    as_json: bool,
) -> int:
    """Let a run go on, here if nobody else does."""
    from cli.flow_process import a_server, carry_out
    from farm.runs import JobRunStatus, Resumed, find_run
    from tasks.run.last_states import count_ended

    async def go_on(client: Any) -> tuple[JobRunStatus, Resumed, dict[str, Any], int]:
        found = await find_run(client, name)
        parameters = _parameters(found.run.parameters, adapter_config, has_deployment=bool(found.run.deployment_id))
        return found, await how_to(client, found), parameters, await count_ended(client, str(found.run.id))

    with a_server() as screen:
        found, how, parameters, ended_before = asyncio.run(with_client(go_on))
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
    if holds_secrets(adapter):
        raise RequestError(
            "The run's adapter settings hold secrets, which Prefect does not keep; give the settings again "
            "(--adapter-config), or save them as a block"
        )
    return saved
