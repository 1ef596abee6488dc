"""`helios-job node`: this machine renders for an own farm."""

import asyncio
import shlex
import sys
from pathlib import Path

import click

from cli.say import say
from helios.errors import RequestError


@click.command(epilog="Example: helios-job node 192.168.1.10:8786/SECRET --slots 4 --tag blender")
@click.argument("join_token", metavar="[JOIN-TOKEN]", required=False)
@click.option("--slots", type=click.IntRange(1, 1024), help="Chunks at a time. [default: the number of CPUs]")
@click.option("--tag", "tags", multiple=True, help="What this machine can do, for jobs that require it; repeatable.")
@click.option("--gpus", type=click.IntRange(0, 64), help="How many GPUs it has. [default: found by itself]")
@click.option("--chunks-per-gpu", type=click.IntRange(1, 64), help="Chunks that may share a GPU. [default: 1]")
@click.option("--memory", metavar="SIZE", help="What chunks may require together. [default: all of its memory]")
@click.option("--hours", metavar="HH:MM-HH:MM", help="When it takes chunks, such as 19:00-07:00. [default: always]")
@click.option("--name", help="The machine's name on the farm. [default: the host's name]")
@click.option("--host", help="The address by which the others reach this machine. [default: found by itself]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where it listens. [default: any free port]")
@click.option("--drain", type=click.FloatRange(min=0), default=600.0, show_default=True,
              help="Seconds for which chunks may go on after SIGTERM.")  # fmt: skip
@click.option(
    "--idle", type=click.FloatRange(min=0), help="End after so many seconds with nothing to do. [default: never]"
)
@click.option("--sandbox", type=click.Choice(["bubblewrap", "bubblewrap+network"]),
              help="What every command runs in. [default: none]")  # fmt: skip
@click.option("--systemd", is_flag=True, help="Print a systemd unit that keeps the node running, and end.")
def node(
    join_token: str | None, slots: int | None, tags: tuple[str, ...], gpus: int | None,
    chunks_per_gpu: int | None, memory: str | None, hours: str | None, name: str | None, host: str | None,
    port: int, drain: float, idle: float | None, sandbox: str | None, systemd: bool,
) -> int:  # fmt: skip
    """Render chunks for an own farm on this machine, until SIGTERM or Ctrl-C; what runs is finished first.

    JOIN-TOKEN is what `helios-job farm start` prints; without it, that of the variable HELIOS_FARM counts, or of the
    farm that was started on this machine. A second signal ends the chunks that run.
    """
    try:
        from helios.own_farm.join_token import find_token
        from helios.own_farm.node import Node, NodeSettings, node_settings, systemd_unit
    except ImportError as exc:
        raise needs_extra(exc) from exc
    token = find_token(join_token)
    settings: NodeSettings = node_settings(
        slots=slots, tags=tags, name=name, host=host, port=port, gpus=gpus,
        chunks_per_gpu=chunks_per_gpu, memory=memory, hours=hours, drain_seconds=drain,
        idle_seconds=idle, sandbox=sandbox,
    )  # fmt: skip
    if systemd:
        given = {"slots": slots, "gpus": gpus,
                 "chunks-per-gpu": chunks_per_gpu, "memory": memory, "hours": hours, "name": name, "host": host,
                 "port": port or None, "drain": drain, "idle": idle, "sandbox": sandbox}  # fmt: skip
        options = [f"--{option}={value}" for option, value in given.items() if value is not None]
        words = [str(Path(sys.argv[0]).absolute()), "node", *options, *(f"--tag={tag}" for tag in tags)]
        say(systemd_unit(shlex.join(words), token, drain_seconds=drain))
        return 0
    asyncio.run(Node(token, settings, say=say).run())
    return 0


def needs_extra(exc: ImportError) -> RequestError:
    """What to do where the farm's libraries are missing."""
    return RequestError(
        f"An own farm needs the extra farm, which is not installed here ({exc.name}); install it: "
        "pip install -c constraints.txt -e '.[app,farm]'"
    )
