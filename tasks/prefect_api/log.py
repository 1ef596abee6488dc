"""Keep a run's log readable: one line for each event, and no traceback for an error that a user can cause."""

import copy
import logging
import os
from typing import Any

import prefect
from prefect.logging.handlers import PrefectConsoleHandler

from helios.errors import ExpectedError
from helios.plain_text import visible

RunLogger = logging.Logger | logging.LoggerAdapter[Any]
"""The logger that Prefect gives to a flow or a task."""
LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""Prefect's loggers of runs."""
FILTERED = (*LOGGERS, "asyncio", "prefect.events.clients", "prefect._internal.concurrency")
"""The event loop logs the exception of a cancelled flow too; Prefect's client logs each event that it can't send."""


OUTPUT = {"is_command_output": True}
"""Marks a line of a command: Prefect keeps it, and a worker's terminal does not show it."""
TOLD_AT_END = {"is_told_at_end": True}
"""Marks a line that a command's own last line repeats: Prefect keeps it, and the command's terminal shows it once."""
FINISHED = "Finished in state "
"""Begins the engine's line about the end of a run or a task, which a line of our own has told in its words."""
WAITING = ("Unable to connect to", "Service %r failed to process item")
"""Begin Prefect's messages about each event that it can't send. The run logs once that the API is away, and the events
follow later."""
CANCELLED = "Crash detected! Execution was cancelled"
"""The engine's words for a task that is cancelled between two attempts: the flow has said why it stops."""
COMMITTING = "An error was encountered while committing transaction"
PREFECTS_CODE = os.path.dirname(prefect.__file__) + os.sep


class SaidAlready(logging.Filter):
    """Drops lines of Prefect's engine about successes and expected errors: the tasks have logged them already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        if record.name in LOGGERS and not record.pathname.startswith(PREFECTS_CODE):
            return True  # a line of our own, which may well name an error
        if record.name in LOGGERS and str(record.msg).startswith(FINISHED):
            return False  # a line costs 0.5 ms here and more in the server
        if str(record.msg).startswith((*WAITING, CANCELLED)):
            return False
        if record.exc_info and str(record.msg).startswith(COMMITTING):
            # The chunk is accepted all the same; its record is not written, so that a resumed run renders it again.
            record.msg, record.args = "The chunk's record can't be written: %s", (record.exc_info[1],)
            record.exc_info = None
        raised = record.exc_info[1] if record.exc_info else None
        named = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(item, ExpectedError) for item in (raised, *named))


class OwnLines(logging.Filter):
    """Drops lines of commands."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        return not hasattr(record, "is_command_output")


class PlainFormatter(logging.Formatter):
    """Writes records for a terminal: no traceback, which Prefect keeps, and nothing that a terminal carries out.

    Args:
        inner: Writes them otherwise.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        told = copy.copy(record)  # other handlers get the record as it was
        told.exc_info = told.exc_text = told.stack_info = None
        return visible(self._inner.format(told))


_FILTER, _OWN_LINES = SaidAlready(), OwnLines()


def consoles() -> list[logging.Handler]:
    """What writes Prefect's log to this process's terminal."""
    names = ["", "prefect", *(name for name in logging.Logger.manager.loggerDict if name.startswith("prefect"))]
    found = {handler: None for name in names for handler in logging.getLogger(name).handlers}
    return [handler for handler in found if isinstance(handler, PrefectConsoleHandler)]


def keep_terminals_plain() -> None:
    """Let whatever is logged in this process reach its terminal as plain lines; once is enough, more does no harm."""
    for handler in consoles():
        if not isinstance(handler.formatter, PlainFormatter):
            handler.setFormatter(PlainFormatter(handler.formatter or logging.Formatter()))


def quiet_expected_errors() -> None:
    """Add the filter to the loggers; once is enough, more does no harm."""
    keep_terminals_plain()
    for name in FILTERED:
        logging.getLogger(name).addFilter(_FILTER)
    for handler in (*logging.getLogger("prefect").handlers, *logging.getLogger().handlers):
        handler.addFilter(_OWN_LINES)
