"""How a job, or one attempt of a chunk, ends when it does not end well."""

from helios.errors import HeliosError
from helios.models.report import JobReport

JOB_CANCELLED = "The job was cancelled"
"""Why a chunk was stopped when no other reason is known."""


class JobEndedError(HeliosError):
    """The job ended without its video. It is the result of such a flow run, so that who awaits it is told.

    Args:
        message: Why.
        report: What became of its chunks, if it got as far as that.
    """

    def __init__(self, message: str, report: JobReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class JobFailedError(JobEndedError):
    """The job can't complete."""


class JobCancelledError(JobEndedError):
    """Somebody stopped the job."""


class JobCrashedError(JobEndedError):
    """What the job depends on died."""


class AttemptFailedError(HeliosError):
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
