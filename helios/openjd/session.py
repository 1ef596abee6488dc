"""Run tasks of a step in one session: its environments around them, as the specification orders it."""

import logging
import signal
import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from types import FrameType
from typing import Any

from helios.errors import CommandError
from helios.openjd.library import libraries
from helios.openjd.template import OpenedJob

LOOK_SECONDS = 0.1
"""Between two looks whether the session was told to stop."""
STOP_SECONDS = 3
"""What an action gets to end when the session is told to stop: less than the chunk itself gets."""


class SessionStoppedError(CommandError):
    """The session was told to stop (SIGTERM)."""


def run_tasks(job: OpenedJob, step: Any, tasks: Sequence[dict[str, Any]]) -> None:
    """Enter the environments of job and step, run tasks one after the other, and leave the environments.

    Args:
        job: The job on this machine.
        step: The library's step.
        tasks: Values of the task parameters of each task.

    Raises:
        CommandError: An action failed, or ran too long; says which. The environments were left.
        SessionStoppedError: SIGTERM came.
    """
    model, sessions = libraries()
    _show_output()
    with sessions.Session(
        session_id=uuid.uuid4().hex,
        job_parameter_values=dict(job.values),
        job_name=job.made.job.name,
        revision_extensions=model.RevisionExtensions(
            spec_rev=model.SpecificationRevision.v2023_09, supported_extensions=job.template.extensions or []
        ),
    ) as session:
        _OneSession(session, job, step).run(tasks)


class _OneSession:
    """A session and the environments that it is in.

    Args:
        session: The library's.
        job: The job.
        step: The step whose tasks run.
    """

    def __init__(self, session: Any, job: OpenedJob, step: Any) -> None:
        self._session, self._job, self._step = session, job, step
        self._entered: list[tuple[Any, Any]] = []
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, self._told_to_stop)

    def run(self, tasks: Sequence[dict[str, Any]]) -> None:
        """Do all of it."""
        try:
            self._enter()
            for values in tasks:
                self._session.run_task(
                    step_script=self._step.script,
                    task_parameter_values=values,
                    log_task_banner=False,
                    step_name=self._step.name,
                    resolved_symtab=self._step_table,
                )
                shown = ", ".join(f"{name} = {value.value}" for name, value in values.items())
                self._wait(f"step {self._step.name!r}" + (f" with {shown}" if shown else ""))
        finally:
            self._leave()

    @property
    def _step_table(self) -> Any:
        return self._job.made.step_symbol_tables[self._step.name]

    def _enter(self) -> None:
        for environment in self._job.made.job.jobEnvironments or []:
            self._enter_one(environment, self._job.made.job_symbol_table, step=None)
        for environment in self._step.stepEnvironments or []:
            self._enter_one(environment, self._step_table, step=self._step.name)

    def _enter_one(self, environment: Any, table: Any, *, step: str | None) -> None:
        identifier = self._session.enter_environment(environment=environment, step_name=step, resolved_symtab=table)
        self._entered.append((identifier, table))
        self._wait(f"onEnter of the environment {environment.name!r}")

    def _leave(self) -> None:
        """Leave the environments; an onExit that fails takes nothing from what was rendered."""
        while self._entered:
            identifier, table = self._entered.pop()
            self._session.exit_environment(identifier=identifier, resolved_symtab=table)
            try:
                self._wait(f"onExit of an environment of step {self._step.name!r}")
            except CommandError as exc:
                logging.getLogger("openjd.sessions").warning("%s", exc)

    def _wait(self, what: str) -> None:
        """Wait for the end of the action that runs."""
        state = libraries().sessions.SessionState
        is_told = False
        while self._session.state in (state.RUNNING, state.CANCELING):
            if self._stop.wait(LOOK_SECONDS):
                self._stop.clear()  # what leaves the environments runs to its end, unless it is told to stop as well
                self._session.cancel_action(time_limit=timedelta(seconds=STOP_SECONDS))
                is_told = True
        if is_told:
            raise SessionStoppedError(f"{what} was stopped (SIGTERM)")
        self._check(what)

    def _check(self, what: str) -> None:
        status, states = self._session.action_status, libraries().sessions.ActionState
        if status is None or status.state is states.SUCCESS:
            return
        said = f": {status.fail_message}" if status.fail_message else ""
        if status.state is states.TIMEOUT:
            raise CommandError(f"{what} ran longer than its timeout{said}")
        code = f" with code {status.exit_code}" if status.exit_code is not None else ""
        raise CommandError(f"{what} failed{code}{said}")

    def _told_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()


class _Output(logging.Handler):
    """Prints what actions print, and the library's warnings; not what it says of itself."""

    def emit(self, record: logging.LogRecord) -> None:
        content = libraries().sessions.LogContent
        flags = getattr(record, "openjd_log_content", None) or content(0)
        is_output = content.COMMAND_OUTPUT in flags and content.BANNER not in flags
        if is_output or record.levelno >= logging.WARNING:
            print(record.getMessage(), flush=True)  # noqa: T201  a command's output


def _show_output() -> None:
    log = logging.getLogger("openjd.sessions")
    log.propagate = False
    log.handlers[:] = [_Output()]
