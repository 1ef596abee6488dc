"""`helios-job metrics`: figures of the farm for Prometheus."""

import asyncio
import signal
from typing import Any

import click

from cli.ask import with_client
from cli.say import say
from helios.errors import RequestError


@click.command(epilog="Example: helios-job metrics --port 9464")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=9464, show_default=True, type=click.IntRange(1, 65535), help="The port.")
def metrics(host: str, port: int) -> int:
    """Serve figures of the farm for Prometheus, until SIGTERM or Ctrl-C."""
    from farm.server.connect import running_server

    with running_server() as ui:
        if ui is None:
            raise RequestError("Figures are read from a Prefect server; start helios-job up, or name a server: "
                               "PREFECT_API_URL=http://…/api")  # fmt: skip
        asyncio.run(with_client(lambda client: _serve(client, host, port)))
    say("Stopped")
    return 0


async def _serve(client: Any, host: str, port: int) -> None:
    from farm.metrics import served

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with served(client, host=host, port=port) as address:
        say(f"Figures for Prometheus are at {address}; Ctrl-C ends this")
        await ended.wait()
