"""Keep a run's log readable: one line an event, and no traceback for what a user can cause."""

import logging

from helios.errors import HeliosError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""Where Prefect writes the lines of runs."""
FILTERED = (*LOGGERS, "asyncio")
"""The event loop, too, says what a cancelled flow process ended with."""


class SaidAlready(logging.Filter):
    """Drops what Prefect's engine says of a success or an expected error: the tasks have said it, in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        if record.name == "prefect.task_runs" and record.msg == "Finished in state Completed()":
            return (
                False  # the chunk has said so, with what was accepted; a line costs 0.5 ms here and more in the server
            )
        raised = record.exc_info[1] if record.exc_info else None
        named = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(item, HeliosError) for item in (raised, *named))


_FILTER = SaidAlready()


def quiet_expected_errors() -> None:
    """Add the filter to the loggers; once is enough, more does no harm."""
    for name in FILTERED:
        logging.getLogger(name).addFilter(_FILTER)
