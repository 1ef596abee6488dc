"""The errors with which a job, or one attempt of a chunk, ends.

These errors have no kind of failure: `helios.errors` says why.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import Pause

from helios.errors import ExpectedError
from helios.models.report import JobReport

JOB_CANCELLED = "The job was cancelled"
"""The reason for a stop when no other reason is known."""


class JobEndedError(ExpectedError):
    """The job ended without its video. The error is the flow run's result, which a caller gets by awaiting the run.

    Args:
        message: Why.
        report: What became of its chunks, if it got as far as that.
    """

    def __init__(self, message: str, report: JobReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class JobFailedError(JobEndedError):
    """The job can't complete."""


class JobRefusedError(JobFailedError):
    """The request can't work; nothing ran."""


class JobCancelledError(JobEndedError):
    """The job was cancelled."""


class JobCrashedError(JobEndedError):
    """A process that the job depends on died."""


class JobSuspendedError(Pause):
    """The run is suspended: it goes on in another process. A signal to Prefect's engine, as its parent.

    Args:
        state: The run's state.
        report: What has become of its chunks so far.
    """

    def __init__(self, state: State[Any], report: JobReport) -> None:
        super().__init__(state=state)
        self.report = report


class AttemptFailedError(ExpectedError):
    """One attempt of a chunk failed.

    Args:
        message: What failed, with the chunk and the attempt.
        retry: Whether another attempt is due.
    """

    def __init__(self, message: str, retry: bool = False) -> None:
        super().__init__(message, retry)
        self.message = message
        self.retry = retry

    def __str__(self) -> str:
        return self.message
