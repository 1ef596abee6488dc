"""`helios-job list`, `status`, `explain`, `logs`, `wait`: what became of jobs."""

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

import farm
from cli.ask import ask
from cli.completing import run_argument
from cli.outcome import show_outcome
from cli.run_table import run_table
from cli.say import say
from helios.errors import RequestError
from helios.models.explained import explain_report
from helios.models.report import RunState

if TYPE_CHECKING:  # they import Prefect
    from farm import BatchStatus, ChunkStatus, JobReport, Progress, RunStatus

STOPPED = (RunState.FAILED, RunState.CRASHED, RunState.CANCELLED)
LEVELS = ("debug", "info", "warning", "error")


@click.command(
    "list",
    epilog="Examples: helios-job list --state failed --state crashed; helios-job list --name nightly --sort ended",
)
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in RunState]),
              help="Those in this state. Repeatable.")  # fmt: skip
@click.option("--name", metavar="TEXT", help="Those with TEXT in their names.")
@click.option("--sort", default="newest", show_default=True, type=click.Choice(["newest", "oldest", "ended", "name"]),
              help="Which come first.")  # fmt: skip
@click.option("--planned", is_flag=True, help="Also runs that schedules have planned for later.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="At most this many runs.")
@click.option("--offset", default=0, type=click.IntRange(0, 10**9), help="Leave out this many runs before them.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_command(states: tuple[str, ...], as_json: bool, **words: Any) -> int:
    """List runs of jobs. Those whose process died are marked as crashed."""
    wanted, order = [RunState(state) for state in states], farm.Order(words.pop("sort"))
    found = ask(lambda client: farm.list_runs(states=wanted, order=order, client=client, **words))
    if as_json:
        documents = [_document(status, status.progress) for status in found]
        say(json.dumps(documents, indent=2, ensure_ascii=False))
    elif found:
        for line in run_table(found):
            say(line)
    else:
        is_narrowed = states or words["name"] or words["offset"]
        say(f"No runs {'like that' if is_narrowed else 'yet'}", err=True, level="info")
    return 0


@click.command(epilog="Example: helios-job status job-3f9a2c --json")
@run_argument
@click.option("--chunks", is_flag=True, help="Also where each chunk stands.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(run: str, chunks: bool, as_json: bool) -> int:
    """Say where a run stands, or a batch with its rows. RUN is its id or its name."""
    if (batch := ask(lambda client: farm.batch_status(run, client=client))) is not None:
        _show_batch(batch, as_json=as_json)
        return 0
    from tasks.page.progress_text import describe

    async def look(client: Any) -> "tuple[RunStatus, Progress | None, str | None, list[ChunkStatus]]":
        found = await farm.status(run, client=client)
        return (
            found,
            await farm.progress(found, client=client),
            await farm.why_waiting(found, client=client),
            await farm.chunks(found, client=client) if chunks else [],
        )

    found, progress, waits_for, of_chunks = ask(look)
    if as_json:
        document = _document(found, progress) | ({"waitsFor": waits_for} if waits_for else {})
        if chunks:
            document["chunks"] = [asdict(chunk) for chunk in of_chunks]
        say(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    say(f"{found.name} ({found.id}): {found.state}")
    if found.message:
        say(f"  {found.message}")
    if waits_for is not None:
        say(f"  waits: {waits_for}")
    if progress is not None:
        was = "stopped while " if found.state in STOPPED else ""
        say(f"  {was}{describe(progress)} ({progress.percent:.0f} %)")
    if found.run.start_time is not None:
        took = found.run.total_run_time.total_seconds() or found.run.estimated_run_time.total_seconds()
        say(f"  began {found.run.start_time.astimezone():%Y-%m-%d %H:%M:%S}, {took:.0f} s at work")
    if found.submitted_by is not None:
        say(f"  by {found.submitted_by}")
    say(f"  weight {found.weight}: its share of slots that other jobs want too")
    if found.holder is not None:
        say(f"  process {found.holder.pid} on {found.holder.host}")
    for chunk in of_chunks:
        attempts = f"{chunk.attempts} attempt" + ("" if chunk.attempts == 1 else "s")
        say(f"  {chunk.name:<12} {chunk.state:<16} {attempts}, {chunk.seconds:.1f} s  {chunk.message}".rstrip())
    return 0


def _show_batch(batch: "BatchStatus", *, as_json: bool) -> None:
    if as_json:
        rows = [{"row": row.row, **_document(row.run)} for row in batch.rows]
        say(json.dumps({**_document(batch.batch), "rows": rows}, indent=2, ensure_ascii=False))
        return
    say(f"{batch.batch.name} ({batch.batch.id}): {batch.batch.state}")
    if batch.batch.message:
        say(f"  {batch.batch.message}")
    if batch.rows:
        say(f"  rows that have begun: {batch.counts}")
    for row in batch.rows:
        number = "row" if row.row is None else f"row {row.row}"
        say(f"  {number:<8} {row.run.state:<10} {row.run.name}  {row.run.message}".rstrip())


@click.command(epilog="Example: helios-job explain job-3f9a2c")
@run_argument
def explain(run: str) -> int:
    """Say why a run that has ended took its time: waits, failures, second attempts.

    RUN is its id or its name. It says what waited for a slot, what was tried again, which chunks got a second attempt,
    and what that won or cost; of a run that failed or was stopped as well.
    """

    async def read(client: Any) -> "tuple[RunStatus, JobReport | None]":
        found = await farm.status(run, client=client)
        return found, await farm.report(found, client=client)

    found, report = ask(read)
    if report is None:
        raise RequestError(
            f"{found.name} is {found.state}, and there is no report of it; expected a run that has ended, not by its "
            f"process's death, and its result storage at hand: helios-job status {found.name} --chunks shows its chunks"
        )
    say(f"{found.name} ({found.id}): {found.state}")
    for line in explain_report(report):
        say(f"  {line}")
    return 0


@click.command(epilog="Example: helios-job logs job-3f9a2c --follow --level warning")
@run_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option("--level", default="info", show_default=True, type=click.Choice(LEVELS), help="The least to show.")
def logs(run: str, follow: bool, level: str) -> int:
    """Print what a run and its chunks have logged; of a batch, also its rows. RUN is its id or its name."""

    async def print_lines(client: Any) -> None:
        least = getattr(logging, level.upper())
        found = await farm.status(run, client=client)
        rows: dict[str, str] = {found.id: ""}
        async for line in farm.logs(found, level=least, follow=follow, client=client):
            if found.is_batch and str(line.flow_run_id) not in rows:
                rows.update(await _rows_by_run(client, found))
            row = rows.get(str(line.flow_run_id), "")
            when = line.timestamp.astimezone().strftime("%H:%M:%S")
            for text in line.message.splitlines():  # a command's lines come together
                say(f"{when} {logging.getLevelName(line.level):<8} {row}{text}")

    ask(print_lines)
    return 0


async def _rows_by_run(client: Any, batch: "RunStatus") -> dict[str, str]:
    """What stands before lines of a row's run, by its id."""
    found = await farm.batch_status(batch.id, client=client)
    return {row.run.id: f"row {row.row}: " for row in found.rows} if found else {}


@click.command(epilog="Example: helios-job wait $(helios-job submit job.json)")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def wait(run: str, as_json: bool) -> int:
    """Wait for a run's end; its exit code is that of `helios-job run`, or `batch`. RUN is its id or its name."""
    from cli.bar import watched
    from cli.batch import show_ended

    async def wait_and_read(client: Any) -> int:
        found = await farm.status(run, client=client)
        with watched(found.name) as tell:
            found = await farm.wait(found, tell=tell, client=client)
        state = found.run.state
        message = (state.message if state else None) or f"{found.name} is {found.state}"
        if found.is_batch:
            return show_ended(found.state, message, await farm.batch_report(found, client=client), as_json=as_json)
        return show_outcome(found.state, message, await farm.report(found, client=client), as_json=as_json)

    return ask(wait_and_read)


def _document(found: "RunStatus", progress: "Progress | None" = None) -> dict[str, Any]:
    """The status of a run, for programs."""
    run = found.run
    document: dict[str, Any] = {
        "runId": str(run.id),
        "name": run.name,
        "state": found.state,
        "message": found.message,
        "submittedBy": found.submitted_by,
        "created": run.created.isoformat() if run.created else None,
        "started": run.start_time.isoformat() if run.start_time else None,
        "ended": run.end_time.isoformat() if run.end_time else None,
        "process": found.holder.model_dump(include={"host", "pid"}) if found.holder else None,
    }
    if progress is not None:
        document["progress"] = {
            "phase": progress.phase,
            "percent": round(progress.percent, 1),
            "frames": progress.frames,
            "totalFrames": progress.total_frames,
            "chunks": progress.chunks,
            "totalChunks": progress.total_chunks,
        }
        if progress.cost is not None:
            cost = {"total": progress.cost, "currency": progress.currency, "budget": progress.budget}
            document["progress"]["cost"] = {name: value for name, value in cost.items() if value is not None}
    return document
