"""The command's entry point and its rules: exit codes, and one clear line for an error a user can cause.

Modules that import Prefect (1.3 s) are imported by the commands that need it.
"""

import sys
import warnings

import click

from cli.cache import cache
from cli.control import cancel, delete, pause, resume, retry
from cli.doctor import doctor
from cli.env import env
from cli.look import list_command, logs, status, wait
from cli.outcome import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from cli.plan import plan
from cli.run import run
from cli.server_errors import explain
from cli.submit import submit
from cli.up import up
from cli.validate import validate
from cli.worker import worker
from helios.errors import ExpectedError, HeliosError
from helios.garbage import spare_loading


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="helios-render", prog_name="helios-job")
def commands() -> None:
    """Render videos in chunks, verify every chunk, and join them into one exact video."""


for command in (run, validate, plan, doctor, submit, list_command, status, logs, wait, cancel, pause, resume, retry,
                delete, cache, up, worker, env):  # fmt: skip
    commands.add_command(command)


def main() -> None:
    """Run the command line and exit: 0 done, 1 the job failed, 2 the input was refused, 130 interrupted."""
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home")  # an error says it in a line
    spare_loading()
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        code = EXIT_REFUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        code = EXIT_INTERRUPTED
    except ExpectedError as exc:
        click.echo(f"helios-job: {exc}", err=True)
        # A HeliosError arrives here before a job began: the input was refused. A job's failures are in its outcome.
        code = EXIT_REFUSED if isinstance(exc, HeliosError) else EXIT_FAILED
    except Exception as exc:
        if (line := explain(exc)) is None:
            raise
        click.echo(f"helios-job: {line}", err=True)
        code = EXIT_FAILED
    sys.exit(code)
