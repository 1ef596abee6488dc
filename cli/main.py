"""The command's entry point and its rules: exit codes, and one clear line for an error a user can cause.

It imports little itself, so that `--help` and `--version` answer at once.
"""

import io
import os
import select
import signal
import sys
import warnings
from contextlib import suppress

import click

from cli.commands import commands
from cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from cli.failures import told
from cli.say import say, write_errors_as_json
from helios.garbage import spare_loading
from helios.processes.own_memory import hide_memory
from helios.system_errors import shortened
from helios.variables import misspelt

LONGEST_LINE = 2000
"""Characters of a line of an error; the middle of a longer one, which quotes what was given, is left out."""


def _known_variables() -> set[str]:
    from cli.adapter_option import known_variables  # imports the adapters' settings, 0.2 s

    return known_variables()


def main() -> None:
    """Run the command line and exit: 0 done, 1 the job failed, 2 the input was refused, 130 interrupted."""
    write_errors_as_json(False)
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home")  # an error says it in a line
    warnings.filterwarnings("ignore", message="Failed to load profiles")  # as does one for this
    hide_memory()
    spare_loading()
    _open_closed_streams()
    _end_with_terminal()
    if not os.environ.get("PREFECT_HOME", "set").strip():
        del os.environ["PREFECT_HOME"]  # Prefect would take the working directory
    for hint in misspelt(os.environ, _known_variables):
        _say_last(f"helios-job: {hint}")
    try:
        code = commands.main(standalone_mode=False)
        sys.stdout.flush()  # an error of it is told here, and not by Python as it ends
    except click.ClickException as exc:
        code = EXIT_REFUSED
        exc.show(words := io.StringIO())
        _say_last(words.getvalue().rstrip())
    except (click.Abort, KeyboardInterrupt):
        _say_last("Interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = EXIT_FAILED  # nobody reads what is printed
        _leave_output()
    except SystemExit:
        raise
    except BaseException as exc:  # noqa: BLE001  no traceback reaches a user; Prefect's signals are no Exceptions
        line, code = told(exc)
        _say_last(f"helios-job: {line}")
    sys.exit(code)


def _say_last(text: str) -> None:
    """Print why the command ends; standard error may be full, or have no reader."""
    try:
        say("\n".join(shortened(line, LONGEST_LINE) for line in text.split("\n")), err=True)
    except (OSError, ValueError):
        _leave_output()


def _leave_output() -> None:
    """Let Python close its streams without an error: what is left in them goes nowhere."""
    for number in (1, 2):
        _leave(number)


def _leave(number: int) -> None:
    """Let what is written to a stream go nowhere."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _end_with_terminal() -> None:
    """Take SIGHUP, which a closed terminal sends, for SIGTERM, unless it is ignored (nohup).

    Without that it would end this process at once, and leave others behind.
    """

    def end(*_: object) -> None:
        for number in (1, 2):
            if _is_hung_up(number):
                _leave(number)
        signal.raise_signal(signal.SIGTERM)

    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGHUP, end)


def _is_hung_up(number: int) -> bool:
    poll = select.poll()
    poll.register(number, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


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
