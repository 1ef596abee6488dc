"""`helios-job watch`: play a run's video in the browser while it is rendered."""

import sys
import webbrowser
from typing import Any

import click

from cli.ask import ask
from cli.completing import run_argument
from cli.say import say


@click.command(epilog="Examples: helios-job watch job-3f9a2c; helios-job watch job-3f9a2c --port 8700 --no-browser")
@run_argument
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Of 127.0.0.1. [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Print the link alone.")
def watch(run: str, port: int, no_browser: bool) -> int:
    """Play a run's video in the browser while it renders, and after its end, until Ctrl-C. RUN is its id or its name.

    While somebody watches, chunks are rendered in the order in which they are seen. The link has a random token, and is
    good on this machine alone, which must have the job directory.
    """
    from farm.player.server import play

    def tell(link: str) -> None:
        say(link)
        if not no_browser and sys.stdout.isatty():
            webbrowser.open(link)

    async def serve(client: Any) -> None:
        await play(run, client=client, port=port, tell=tell)

    ask(serve)
    return 0
