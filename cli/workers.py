"""`helios-job workers`: who carries out runs of deployments, and what each does now."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.ask import ask
from cli.say import say
from cli.table import table
from helios.models.report_text import duration

if TYPE_CHECKING:  # it imports Prefect
    from farm.workers import WorkerStatus


@click.command(epilog="Example: helios-job workers --json")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def workers(as_json: bool) -> int:
    """List the workers that carry out runs of deployments, and what each renders now."""
    from farm.workers import list_workers

    found = ask(list_workers)
    if as_json:
        say(json.dumps([_document(worker) for worker in found], indent=2, ensure_ascii=False))
    elif found:
        for line in table(("NAME", "STATE", "POOL", "SEEN", "RENDERS"), [_row(worker) for worker in found]):
            say(line)
    else:
        say("No workers yet: helios-job up starts one, and so does helios-job worker", err=True, level="info")
    return 0


def _row(worker: "WorkerStatus") -> tuple[str, ...]:
    seen = duration((datetime.now(UTC) - worker.seen).total_seconds()) + " ago" if worker.seen else ""
    shares = {status.name: status.progress for status in worker.runs}
    renders = [f"{name} ({progress.percent:.0f} %)" if progress else name for name, progress in shares.items()]
    return worker.name, "online" if worker.is_online else "offline", worker.pool, seen, ", ".join(renders)


def _document(worker: "WorkerStatus") -> dict[str, object]:
    return {
        "name": worker.name,
        "online": worker.is_online,
        "pool": worker.pool,
        "seen": worker.seen.isoformat() if worker.seen else None,
        "runs": [{"id": status.id, "name": status.name} for status in worker.runs],
    }
