"""`helios-job cancel`, `pause`, `priority`, `resume`, `retry`, `delete`: what is to become of jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

import farm
from cli.adapter_option import read_adapter, read_adapters
from cli.ask import ask, with_client
from cli.completing import run_argument
from cli.outcome import show_outcome
from cli.say import say
from cli.screen import screen_options
from farm.masked import complete_parameters
from helios.errors import RequestError

if TYPE_CHECKING:  # they import Prefect
    from farm import Resumed, RunStatus

CANCEL_WAIT_SECONDS = 60.0


@click.command(epilog="Example: helios-job cancel job-3f9a2c")
@run_argument
@click.option("--no-wait", is_flag=True, help="Do not wait until all of its processes have ended.")
def cancel(run: str, no_wait: bool) -> int:
    """Stop a run, or a batch and its rows: nothing new starts, and every process of it ends. What is accepted stays."""

    async def stop(client: Any) -> str:
        found = await farm.cancel(run, client=client)
        if not no_wait:
            with suppress(TimeoutError):
                ended = await asyncio.wait_for(farm.wait(found, client=client), CANCEL_WAIT_SECONDS)
                return f"{found.name}: {ended.state}"
        return f"{found.name} is being cancelled"

    say(ask(stop))
    return 0


@click.command(epilog="Example: helios-job pause job-3f9a2c; helios-job resume job-3f9a2c")
@run_argument
def pause(run: str) -> int:
    """Let a run's chunks in flight finish, and start nothing new until it is resumed. A batch pauses with its rows."""

    async def stop(client: Any) -> str:
        found = await farm.pause(run, client=client)
        return f"{found.name} is paused; helios-job resume {found.id} goes on"

    say(ask(stop))
    return 0


@click.command(epilog="Examples: helios-job priority job-3f9a2c urgent; helios-job priority job-3f9a2c 8")
@run_argument
@click.argument("level", metavar="PRIORITY")
def priority(run: str, level: str) -> int:
    """Give a run another share of the slots that other jobs want as well, also while it renders.

    PRIORITY is urgent (16), default (4), background (1), or a weight from 1 to 1000: two jobs that both want more than
    a limit has share its slots by their weights. A job gets a slot as soon as an attempt of another one ends.
    """

    async def change(client: Any) -> str:
        found = await farm.set_priority(run, level, client=client)
        if found.state is farm.RunState.PENDING:
            return f"{found.name} has priority {level} once it renders; its work queue decides when it starts"
        return f"{found.name} has priority {level}"

    say(ask(change))
    return 0


@click.command(epilog="Examples: helios-job resume job-3f9a2c; helios-job resume job-3f9a2c --budget 8")
@run_argument
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, if the run's hold secrets.")
@click.option("--budget", type=click.FloatRange(min=0, min_open=True), metavar="AMOUNT",
              help="What the run may cost, with what it has spent already. [default: as before]")  # fmt: skip
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def resume(run: str, adapter_config: str | None, budget: float | None, as_json: bool) -> int:
    """Go on with a run where it stopped, whatever stopped it: accepted chunks that are still there are reused.

    A paused run continues. One of a deployment is given to a worker; any other is carried out here. Of a batch, rows
    that are completed are left out, and failed ones are rendered again.
    """
    from farm.runs import resume_run

    return _go_on(run, resume_run, adapter_config=adapter_config, budget=budget, as_json=as_json)


@click.command(epilog="Example: helios-job retry job-3f9a2c")
@run_argument
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, if the run's hold secrets.")
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def retry(run: str, adapter_config: str | None, as_json: bool) -> int:
    """Run a run that has ended once more, as Retry in Prefect's UI does: accepted chunks are reused."""
    from farm.runs import retry_run

    return _go_on(run, retry_run, adapter_config=adapter_config, as_json=as_json)


@click.command(epilog="Example: helios-job delete job-3f9a2c")
@run_argument
def delete(run: str) -> int:
    """Remove a run that has ended: from Prefect, and what it left in storage. Its video and its chunks stay.

    A batch's is removed with those of its rows.
    """

    async def remove(client: Any) -> str:
        found = await farm.status(run, client=client)
        said = await farm.delete(found, client=client)
        return "\n  ".join([f"{found.name} ({found.id}) is deleted", *said])

    say(ask(remove))
    return 0


def _go_on(
    name: str,
    how_to: "Callable[[Any, RunStatus], Awaitable[Resumed]]",
    *,
    adapter_config: str | None,
    budget: float | None = None,
    as_json: bool,
) -> int:
    """Let a run go on; carry it out here if it has no worker."""
    from cli.batch import carry_out as carry_out_batch
    from cli.batch import show_batch
    from cli.flow_process import a_server, carry_out
    from farm.budgets import with_budget
    from farm.finding import find

    async def go_on(client: Any) -> "tuple[RunStatus, dict[str, Any], Resumed]":
        found = await find(client, name)
        if budget is not None:
            found = await with_budget(client, found, budget)
        parameters = complete_parameters(found.run.parameters, adapter=_adapter(found, adapter_config))
        return found, parameters, await how_to(client, found)

    with a_server() as screen:
        found, parameters, how = asyncio.run(with_client(go_on))
        match how:
            case farm.Resumed.CONTINUED:
                say(f"{found.name} continues")
                return 0
            case farm.Resumed.SCHEDULED:
                say(f"{found.name} waits for a worker of the pool {found.run.work_pool_name}")
                return 0
            case farm.Resumed.HERE if found.is_batch:
                rows = carry_out_batch(found.run, parameters, as_json=as_json)
                screen.path = f"/runs/flow-run/{found.id}"
            case farm.Resumed.HERE:
                outcome = carry_out(found.run, parameters, title=found.name)
                screen.show(outcome)
    return show_batch(rows, as_json=as_json) if found.is_batch else show_outcome(*outcome, as_json=as_json)


def _adapter(found: "RunStatus", adapter_config: str | None) -> object:
    """The replacement of a run's adapter: the same adapter, with the settings of the command line."""
    if adapter_config is None:
        return None
    if found.run.deployment_id is not None:
        raise RequestError("--adapter-config is for runs that are carried out here; a worker has its own settings")
    adapter = found.run.parameters.get("adapter", "local")
    if isinstance(adapter, list):
        return read_adapters([], adapter_config)
    return read_adapter(adapter.get("type", "local") if isinstance(adapter, dict) else str(adapter), adapter_config)
