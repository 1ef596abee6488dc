"""Keep a run's log readable: one line an event, and no traceback for what a user can cause."""

import logging
from typing import Any

from helios.errors import HeliosError

RunLogger = logging.Logger | logging.LoggerAdapter[Any]
"""What Prefect gives a flow, or a task, to write its lines with."""
LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""Where Prefect writes the lines of runs."""
FILTERED = (*LOGGERS, "asyncio", "prefect.events.clients", "prefect._internal.concurrency")
"""The event loop, too, says what a cancelled flow process ended with; and Prefect's client each event that waits."""


OUTPUT = {"is_command_output": True}
"""Marks a line of a command, which Prefect keeps, and a worker's terminal does not show."""
SUCCEEDED = ("Finished in state Completed", "Finished in state Cached")
WAITING = ("Unable to connect to", "Service %r failed to process item")
"""What Prefect says of each event that waits for its API; the run says once that the API is away, and the events
follow."""
COMMITTING = "An error was encountered while committing transaction"


class SaidAlready(logging.Filter):
    """Drops what Prefect's engine says of a success or an expected error: the tasks have said it, in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        if record.name == "prefect.task_runs" and str(record.msg).startswith(SUCCEEDED):
            # The chunk has said so, with what was accepted; a line costs 0.5 ms here and more in the server.
            return False
        if str(record.msg).startswith(WAITING):
            return False
        if record.exc_info and str(record.msg).startswith(COMMITTING):
            # The chunk is accepted all the same; its record is not written, so that a resumed run renders it again.
            record.msg, record.args = "The chunk's record can't be written: %s", (record.exc_info[1],)
            record.exc_info = None
        raised = record.exc_info[1] if record.exc_info else None
        named = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(item, HeliosError) for item in (raised, *named))


class OwnLines(logging.Filter):
    """Drops lines of commands."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        return not hasattr(record, "is_command_output")


_FILTER, _OWN_LINES = SaidAlready(), OwnLines()


def quiet_expected_errors() -> None:
    """Add the filter to the loggers; once is enough, more does no harm."""
    for name in FILTERED:
        logging.getLogger(name).addFilter(_FILTER)
    for handler in (*logging.getLogger("prefect").handlers, *logging.getLogger().handlers):
        handler.addFilter(_OWN_LINES)
