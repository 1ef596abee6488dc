"""`helios-job batch`: one job for each row of a table."""

import asyncio
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from cli.completing import complete_file
from cli.exit_codes import EXIT_FAILED, EXIT_REFUSED
from cli.job_options import job_options, read_each
from cli.outcome import EXIT_CODES
from cli.say import say
from cli.screen import screen_options
from cli.spec_argument import located
from helios.models.batch import BatchReport, RowResult
from helios.models.report import RunState
from tasks.request.batch import BatchRequest

if TYPE_CHECKING:  # they import Prefect
    from prefect.client.schemas.objects import FlowRun

    from farm.batches import BatchOutcome


@click.command(
    epilog="Example: helios-job batch title.json names.csv --output 'titles/{name}.mp4'. In TEMPLATE, {name} stands "
    "for a row's value in the column name, {row} for its number."
)
@click.argument("template", shell_complete=complete_file)
@click.argument("table", shell_complete=complete_file)
@job_options(leave_out={"spec", "budget", "budget_stop"})
@click.option(
    "--row", "only", type=click.IntRange(1), multiple=True, metavar="N", help="Render this row alone; repeatable."
)
@click.option("--failed-of", metavar="RUN", help="Leave out the rows that an earlier run of the batch has completed.")
@click.option("--at-once", type=click.IntRange(1, 64), metavar="N", help="Rows at a time. [default: one for each CPU]")
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def batch(
    template: str,
    table: str,
    only: tuple[int, ...],
    failed_of: str | None,
    at_once: int | None,
    as_json: bool,
    **words: Any,
) -> int:
    """Render one job for each row of a table. TABLE is CSV with names in its first line, or JSON lines."""
    request = BatchRequest(located(template), located(table), read_each(words), list(only) or None)
    request.check()  # refused here, in a moment, rather than after Prefect's start
    parameters = {
        "template": request.template,
        "table": request.table,
        "output_file": request.each.output_file,
        "only": request.only,
        "failed_of": failed_of,
        "at_once": at_once,
        "options": _given(request),
    }
    from cli.flow_process import a_server  # imports Prefect
    from farm.batches import create_batch

    with a_server() as screen:
        outcome = carry_out(asyncio.run(create_batch(parameters)), parameters, as_json=as_json)
        screen.path = f"/runs/flow-run/{outcome.run_id}"
    return show_batch(outcome, as_json=as_json)


def carry_out(run: "FlowRun", parameters: dict[str, Any], *, as_json: bool) -> "BatchOutcome":
    """Carry a batch's run out in this process, and say of each row what became of it.

    Args:
        run: The flow run.
        parameters: The flow's.
        as_json: Say nothing of rows: the report comes as JSON at the end.
    """
    from farm.batches import carry_out_batch

    def tell(result: RowResult) -> None:
        if not as_json:
            say(f"row {result.row}: {result.message}", err=result.state is not RunState.COMPLETED)

    return carry_out_batch(run, parameters, tell=tell)


def _given(request: BatchRequest) -> dict[str, Any]:
    """What the command line says otherwise than the defaults: the run's page shows that, and no thirty empty fields."""
    values = {field.name: (getattr(request.each, field.name), field.default) for field in fields(request.each)}
    del values["job"], values["output_file"]
    return {name: value for name, (value, default) in values.items() if value != default}


def show_batch(outcome: "BatchOutcome", *, as_json: bool) -> int:
    """Print how a batch ended; return the exit code."""
    state, report = outcome.state, outcome.report
    if report is not None:
        return show_ended(state, outcome.message, report, as_json=as_json)
    if as_json:
        say(f'{{"state": "{state}"}}')
    if state is RunState.COMPLETED:
        say(outcome.message)
        return EXIT_CODES[state]
    say(f"helios-job: {outcome.message}", err=True)
    if state is RunState.FAILED:
        return EXIT_REFUSED
    _say_how_to_go_on(outcome.run_id)
    return EXIT_CODES.get(state, EXIT_FAILED)


def show_ended(state: RunState, message: str, report: BatchReport, *, as_json: bool) -> int:
    """Print how a batch ended whose rows are known; return the exit code."""
    if as_json:
        say(report.model_dump_json(indent=2))
    if state is not RunState.COMPLETED:
        say(f"helios-job: {message}", err=True)
        _say_how_to_go_on(report.run_id)
    elif not as_json:
        say(message)
    return EXIT_CODES.get(state, EXIT_FAILED)


def _say_how_to_go_on(run_id: str) -> None:
    say(f"helios-job resume {run_id} renders the other rows", err=True, level="info")
