"""`helios-job worker`: a Prefect worker whose jobs end with it."""

import asyncio

import click

from cli.say import say
from farm.worker import work
from helios.errors import RequestError


@click.command(epilog="Example: helios-job worker --pool helios --limit 2")
@click.option("--pool", default="helios", show_default=True, help="The work pool, of Prefect's type process.")
@click.option("--limit", type=click.IntRange(min=1), help="Jobs at a time. [default: no limit]")
@click.option("--name", metavar="NAME", help="Its name in lists and in Prefect's UI. [default: this machine's]")
def worker(pool: str, limit: int | None, name: str | None) -> int:
    """Carry out runs of deployments on this machine until SIGTERM or Ctrl-C, which end its jobs too."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise RequestError("A worker needs a Prefect server; name it: PREFECT_API_URL=http://…/api. On one machine, "
                           "helios-job up is a server with a worker; docs/operations.md says how to start a server of "
                           "several machines")  # fmt: skip
    from farm.server.connect import configured_server
    from farm.server.credentials import export_client_settings

    with configured_server():
        export_client_settings()
        asyncio.run(work(pool, limit, name=name, say=say))
    return 0
