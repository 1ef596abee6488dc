"""The command's entry point and its rules: exit codes, and one clear line for an error a user can cause.

It imports little itself, so that `--help` and `--version` answer at once.
"""

import errno
import os
import sys
import warnings

import click

from cli.commands import commands
from cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from cli.server_errors import explain
from helios.errors import ExpectedError, HeliosError
from helios.garbage import spare_loading
from helios.variables import misspelt


def _known_variables() -> set[str]:
    from cli.adapter_option import known_variables  # imports the adapters' settings, 0.2 s

    return known_variables()


def main() -> None:
    """Run the command line and exit: 0 done, 1 the job failed, 2 the input was refused, 130 interrupted."""
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home")  # an error says it in a line
    warnings.filterwarnings("ignore", message="Failed to load profiles")  # as does one for this
    spare_loading()
    _open_closed_streams()
    if not os.environ.get("PREFECT_HOME", "set").strip():
        del os.environ["PREFECT_HOME"]  # Prefect would take the working directory
    for hint in misspelt(os.environ, _known_variables):
        click.echo(f"helios-job: {hint}", err=True)
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
        if (line := explain(exc) or _explain_stream(exc)) is None:
            raise
        click.echo(f"helios-job: {line}", err=True)
        code = EXIT_FAILED
    sys.exit(code)


def _open_closed_streams() -> None:
    """Give standard streams that are closed (`2>&-`) their numbers back.

    Else the next file opened would have such a number, and get what FFmpeg's libraries print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _explain_stream(error: Exception) -> str | None:
    """A standard output that takes nothing, in a line; None for any other error."""
    if isinstance(error, OSError) and error.filename is None and error.errno in {errno.ENOSPC, errno.EIO}:
        return f"standard output can't be written ({error.strerror}); `helios-job list` shows how the run ended"
    return None
