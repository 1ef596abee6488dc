"""What a command that renders shows on standard error: a bar or lines, lines as JSON, or nothing but errors."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from cli.say import write_errors_as_json
from helios.plain_text import visible

C = TypeVar("C", bound=Callable[..., Any])
QUIET, FORMAT = "quiet", "log_format"


def screen_options(command: C) -> C:
    """Give a command the options that say what it shows while it renders; it does not see them."""
    options = (
        click.option("--quiet", "-q", is_flag=True, expose_value=False, callback=_keep,
                     help="Show neither a bar nor log lines; results and errors alone."),
        click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     expose_value=False, callback=_keep,
                     help="On standard error, lines for people, or a JSON object a line."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _keep(context: click.Context, option: click.Parameter, value: Any) -> Any:
    context.meta[f"{__name__}.{option.name}"] = value
    if option.name == FORMAT:
        write_errors_as_json(value == "json")
    return value


def _choice(name: str) -> Any:
    context = click.get_current_context(silent=True)
    return context.meta.get(f"{__name__}.{name}") if context is not None else None


def is_quiet() -> bool:
    """Whether nothing but results and errors is to be shown."""
    return bool(_choice(QUIET))


def is_json() -> bool:
    """Whether standard error is for programs."""
    return bool(_choice(FORMAT) == "json")


def has_bar() -> bool:
    """Whether there is a bar."""
    return sys.stderr.isatty() and not is_quiet() and not is_json()


class _Silence(logging.Filter):
    """Keeps all lines from a terminal."""

    def filter(self, _record: logging.LogRecord) -> bool:
        """None is kept."""
        return False


class ToldAtEnd(logging.Filter):
    """Keeps lines from a terminal that the command's own last line repeats."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be shown."""
        return not hasattr(record, "is_told_at_end")


class _JsonLines(logging.Handler):
    """Writes records as JSON, one a line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; lines of commands are in the run's log."""
        if hasattr(record, "is_command_output"):
            return
        when = datetime.fromtimestamp(record.created, UTC)
        said = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": visible(record.getMessage()),
            "run": getattr(record, "flow_run_name", None),
            "task": getattr(record, "task_run_name", None),
        }
        click.echo(json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False), err=True)


@contextmanager
def lines_as_asked(consoles: list[logging.Handler], loggers: tuple[str, ...]) -> Iterator[None]:
    """Within the block, have log lines shown as the command line asks for.

    Args:
        consoles: Handlers that write to the terminal otherwise.
        loggers: Names of the loggers of runs.
    """
    hides: logging.Filter = _Silence() if is_quiet() or is_json() else ToldAtEnd()
    writer, written = _JsonLines(logging.INFO), loggers if is_json() and not is_quiet() else ()
    for console in consoles:
        console.addFilter(hides)
    for name in written:
        logging.getLogger(name).addHandler(writer)
    try:
        yield
    finally:
        for console in consoles:
            console.removeFilter(hides)
        for name in written:
            logging.getLogger(name).removeHandler(writer)
