"""`helios-job farm`: an own farm's scheduler, and who is in the farm."""

import asyncio

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
def start(host: str | None, port: int, new_token: bool, dashboard: str | None) -> int:
    """Start a farm's scheduler, print the line by which machines join, and serve until Ctrl-C.

    The secret is kept for this user, so that a farm that is started again takes back its nodes.
    """
    try:
        from helios.own_farm.join_token import keep_token
        from helios.own_farm.scheduler import farm_token, serve_farm
    except ImportError as exc:
        raise needs_extra(exc) from exc
    token = farm_token(host, port, new_secret=new_token)
    path = keep_token(token)

    def tell() -> None:
        say(f"The farm is up at {token.host}:{token.port}. On each machine that is to render:")
        say(f"\n  helios-job node {token.text}\n")
        say(f"Whoever has this line can run commands on all nodes; it is kept in {path}. Jobs: --adapter farm")

    asyncio.run(serve_farm(token, dashboard=dashboard, on_ready=tell))
    say("The farm is down; its nodes wait for it")
    return 0


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
    slots = sum(node.slots for node in nodes)
    say(f"{len(nodes)} nodes, {slots} chunks at a time, {sum(len(node.running) for node in nodes)} now")
    for one in nodes:
        tags = f"  tags {', '.join(sorted(one.tags))}" if one.tags else ""
        state = (
            "stopping" if one.draining else f"silent for {one.silent_seconds:.0f} s" if one.silent_seconds > 3 else ""
        )
        say(f"{one.name}  {len(one.running)} of {one.slots}  rendered {one.rendered}, failed {one.failed}  "
            f"version {one.version}{tags}  {state}".rstrip())  # fmt: skip
        for chunk in one.running:
            say(f"    {chunk.job or chunk.attempt} {chunk.chunk}  {chunk.seconds:.0f} s")
    return 0
