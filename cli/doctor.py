"""`helios-job doctor`: say whether an adapter would work, and what to fix."""

import asyncio
from collections.abc import Mapping
from typing import Any

import click
from pydantic import BaseModel

from adapters import create_adapter
from cli.adapter_option import read_adapter
from cli.exit_codes import EXIT_FAILED
from cli.say import say
from helios.adapter import TellingAdapter
from helios.diagnosis import Diagnosable, Finding
from helios.errors import HeliosError, RequestError
from helios.plain_text import visible
from tasks.request.block_names import names_block
from tasks.request.blocks import without_blocks


@click.command(epilog="Example: helios-job doctor --adapter aws-lambda --adapter-config @lambda.json")
@click.option("--adapter", default="local", show_default=True, metavar="NAME", help="Which adapter.")
@click.option("--adapter-config", metavar="JSON|@FILE", help="Its settings, as for run.")
def doctor(adapter: str, adapter_config: str | None) -> int:
    """Check credentials, permissions, reachability, quota and a round trip, and say what to fix."""
    try:
        choice = read_adapter(adapter, adapter_config)
    except RequestError as exc:
        _print(Finding("configuration", False, str(exc)))
        failed = 1
    else:
        failed = asyncio.run(_diagnose(_resolved(choice)))
    if failed:
        say(f"helios-job: {failed} of these must be mended before a job can run on {adapter}", err=True)
    return EXIT_FAILED if failed else 0


def _resolved(choice: str | Mapping[str, Any] | BaseModel) -> str | Mapping[str, Any] | BaseModel:
    if not names_block(choice):
        return choice
    from farm.server.connect import prefect_server  # imports Prefect

    with prefect_server():
        return asyncio.run(without_blocks(choice))


async def _diagnose(choice: str | Mapping[str, Any] | BaseModel) -> int:
    """Print every finding; return how many are bad."""
    try:
        name, adapter = await asyncio.to_thread(create_adapter, choice)
    except HeliosError as exc:
        _print(Finding("configuration", False, str(exc)))
        return 1
    _print(Finding("configuration", True, f"the adapter {name} takes it"))
    if not isinstance(adapter, Diagnosable):
        say(f"        {name} offers no further checks")
        return 0
    if isinstance(adapter, TellingAdapter):
        adapter.tell(lambda line: say(f"{'':20}{line}"))
    bad = 0
    async for finding in adapter.diagnose():
        _print(finding)
        bad += not finding.ok
    return bad


def _print(finding: Finding) -> None:
    mark = click.style("ok  ", fg="green") if finding.ok else click.style("FIX ", fg="red")
    first, *rest = finding.detail.splitlines() or [""]
    click.echo(f"{mark}  {finding.what:<14}{visible(first)}")
    for line in rest:
        say(f"{'':20}{line.strip()}")
