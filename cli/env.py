"""`helios-job env`: what Prefect's own commands need to use the farm that is up."""

import shlex

import click

from helios.errors import RequestError


@click.command(epilog='Example: eval "$(helios-job env)"; prefect flow-run ls')
def env() -> int:
    """Print the settings of the farm that is up, for a shell to take over. They let their owner in: keep them."""
    from prefect.settings import PREFECT_HOME

    from farm.server.credentials import find_farm

    if (farm := find_farm()) is None:
        raise RequestError(f"No farm is up with PREFECT_HOME={PREFECT_HOME.value()}; start one: helios-job up")
    for name, value in farm.client_environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return 0
