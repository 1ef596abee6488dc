"""Run the flow in this process, with a bar on a terminal, and say where Prefect shows it."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# On a terminal the bar owns the screen, and prints warnings and errors itself.
if sys.stderr.isatty():
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

from prefect.client.schemas.objects import FlowRun

from cli.bar import watched
from cli.say import say
from cli.screen import has_bar, is_quiet, lines_as_asked
from farm import prefect_server
from farm.here import Outcome, carry_out_alone, create_run
from tasks.prefect_api.log import LOGGERS, consoles

# While Prefect's API is away, log lines can't be sent; without this, each batch would print an error.
logging.raiseExceptions = False


def run_job(request: dict[str, Any], *, title: str) -> Outcome:
    """Run `render-job` as a new flow run, and wait for its end.

    Args:
        request: The flow's parameters.
        title: What the bar says.
    """
    with a_server() as screen:
        outcome = carry_out(asyncio.run(create_run(request)), request, title=title)
        screen.show(outcome)
    return outcome


def carry_out(run: FlowRun, parameters: dict[str, Any], *, title: str) -> Outcome:
    """Carry a flow run out in this process, with a Prefect API at hand; see `run_job`.

    Args:
        run: The flow run.
        parameters: The flow's; Prefect's own copy has masked secrets.
        title: What the bar says.
    """
    with watched(title) as tell:
        return carry_out_alone(run, parameters, tell=tell, warn=lambda line: say(line, err=True, level="warning"))


class Screen:
    """The place in Prefect's UI that shows a run."""

    path = "/runs"

    def show(self, outcome: Outcome) -> None:
        """Name the run's own page."""
        if outcome.report is not None:
            self.path = f"/runs/flow-run/{outcome.report.run_id}"


@contextmanager
def a_server() -> Iterator[Screen]:
    """Have a Prefect API within the block; print where its UI shows the run, also for the time after the block."""
    screen, is_watched = Screen(), has_bar()
    if is_watched:
        say("Starting Prefect …", err=True)
    with prefect_server() as own, lines_as_asked(consoles(), LOGGERS):
        if own and is_watched:
            say(f"Prefect's UI, while the job runs (the link works once): {own.new_link()}", err=True)
        yield screen
    if own and not is_quiet():
        look = f"helios-job up, open its link, then http://127.0.0.1:4200{screen.path}"
        say(f"To look at this run in Prefect's UI: {look}", err=True, level="info")
