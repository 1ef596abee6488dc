"""Which lines of a run's log are kept."""

import logging

import pytest
from prefect.logging.loggers import PrefectLogAdapter

from helios.errors import OutputError
from tasks.prefect_api.log import PREFECTS_CODE, SaidAlready


def record(pathname: str) -> logging.LogRecord:
    error = OutputError("c0.mp4 is empty")
    return logging.LogRecord("prefect.task_runs", logging.WARNING, pathname, 1, "Failed: %s", (error,), None)


@pytest.mark.parametrize(("pathname", "is_kept"), [(PREFECTS_CODE + "task_engine.py", False), (__file__, True)])
def test_only_the_engine_repeats_an_error(pathname: str, is_kept: bool) -> None:
    """A line of the engine about an expected error is dropped; a line of our own that names one is kept."""
    assert SaidAlready().filter(record(pathname)) is is_kept


def test_a_run_logger_names_our_file(caplog: pytest.LogCaptureFixture) -> None:
    """The line of a run's logger has the path of the code that logs it, by which the filter tells whose it is."""
    logger = PrefectLogAdapter(logging.getLogger("prefect.flow_runs"), {})
    with caplog.at_level(logging.WARNING):
        logger.warning("here")
    assert [line.pathname for line in caplog.records if line.message == "here"] == [__file__]
