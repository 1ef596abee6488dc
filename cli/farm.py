"""`helios-job farm`: an own farm's scheduler, and who is in the farm."""

import asyncio
from functools import partial
from uuid import UUID

import click

from cli.node import needs_extra
from cli.say import say


@click.group()
def farm() -> None:
    """An own farm: several machines that render chunks of one job."""


@farm.command(epilog="Example: helios-job farm start --host 192.168.1.10")
@click.option("--host", help="This machine's name or address, as nodes reach it. [default: found by itself]")
@click.option("--port", type=click.IntRange(1, 65535), default=8786, show_default=True, help="Of the scheduler.")
@click.option("--new-token", is_flag=True, help="Draw a new secret: nodes that have the old one can't come back.")
@click.option("--dashboard", metavar="HOST:PORT", help="Show Dask's dashboard there, to everybody who can reach it.")
@click.option("--until-eof", is_flag=True, hidden=True)
def start(host: str | None, port: int, new_token: bool, dashboard: str | None, until_eof: bool) -> int:
    """Start a farm's scheduler, print the line by which machines join, and serve until Ctrl-C.

    The secret is kept for this user, so that a farm that is started again takes back its nodes. Where a Prefect server
    is configured, or helios-job up runs, its UI has a page of the farm.
    """
    try:
        from helios.own_farm.join_token import keep_token
        from helios.own_farm.scheduler import farm_token, serve_farm
    except ImportError as exc:
        raise needs_extra(exc) from exc
    from farm.own_farm import keep_page
    from farm.server.connect import running_server

    token = farm_token(host, port, new_secret=new_token)
    path = keep_token(token)

    def tell() -> None:
        say(f"The farm is up at {token.host}:{token.port}. On each machine that is to render:")
        say(f"\n  helios-job node {token.text}\n")
        say(f"Whoever has this line can run commands on all nodes; it is kept in {path}. Jobs: --adapter farm")

    with running_server() as ui:
        told = partial(_tell_page, str(ui))
        watch = partial(keep_page, token=token, dashboard=dashboard, on_made=told) if ui is not None else None
        asyncio.run(serve_farm(token, dashboard=dashboard, on_ready=tell, beside=watch, until_eof=until_eof))
    say("The farm is down; its nodes wait for it")
    return 0


def _tell_page(ui: str, artifact: UUID) -> None:
    say(f"Its page in Prefect's UI: {ui}/artifacts/artifact/{artifact}")


@farm.command()
@click.option("--join", metavar="JOIN-TOKEN", help="Which farm. [default: HELIOS_FARM, or the one started here]")
@click.option("--json", "as_json", is_flag=True, help="Print the nodes as JSON.")
def status(join: str | None, as_json: bool) -> int:
    """Say which nodes the farm has, and what each of them renders."""
    try:
        from adapters.farm import FarmAdapter
        from adapters.farm_config import FarmConfig
    except ImportError as exc:
        raise needs_extra(exc) from exc
    from pydantic import SecretStr

    config = FarmConfig(join=SecretStr(join) if join else None, scheduler_wait_seconds=5.0)
    nodes = asyncio.run(FarmAdapter(config).nodes())
    if as_json:
        import json

        say(json.dumps([node.model_dump(mode="json") for node in nodes], indent=2))
        return 0
    from farm.own_farm import lines

    for line in lines(nodes):
        say(line)
    return 0
