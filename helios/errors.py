"""What can go wrong. Each class says its kind of failure once, and everything else is read from the kind.

    ExpectedError                     a user can cause it: it is reported in one line, without a traceback
    ├── HeliosError                   a failure, with a kind: `failure`
    │   ├── RequestError              the request is wrong: nothing is retried, siblings are stopped
    │   │   ├── SpecError             a job document was refused; `problems` lists every reason
    │   │   ├── PageError             (page) an HTML page threw an error, or did not get what it reads
    │   │   ├── HeldByRunError        (tasks) another run holds what is needed, until its end
    │   │   │   ├── JobLockedError    (tasks) the job itself: it is being rendered
    │   │   │   └── OutputClaimedError (tasks) one of its outputs: another job writes to it
    │   │   └── LockLostError         (tasks) another run took the job over
    │   │       └── LockPassedOnError (tasks) another process goes on with the same run
    │   ├── CommandError              the command ran and failed: counts against the chunk's retries
    │   │   ├── CommandTimeoutError   it ran longer than it may
    │   │   ├── CommandStalledError   it gave no sign of life for longer than it may
    │   │   ├── SessionStoppedError   (openjd) the session of a template's tasks was told to stop
    │   │   └── OutputError           it exited 0, but what it wrote is not what was ordered
    │   │       └── MisfitError       it is of another kind than the outputs before
    │   └── WorkerUnavailableError    the environment failed: retried within a bound of its own
    │       ├── AnswerLostError       (adapters) a worker took the chunk on, and its answer did not arrive
    │       │   └── NodeGoneError     (adapters) the node of an own farm that had the chunk is gone
    │       └── UnansweredError       (storage) a server did not answer in time
    ├── VerificationStoppedError      a verification was asked to stop
    ├── HashingStoppedError           the hashing of input files was asked to stop
    ├── AttemptFailedError            (tasks) an attempt's HeliosError, counted and put into words
    ├── JobEndedError                 (tasks) the job ended without its video
    │   ├── JobFailedError            (tasks) it can't complete
    │   │   └── JobRefusedError       (tasks) the request can't work; nothing ran
    │   ├── JobCancelledError         (tasks) it was cancelled
    │   └── JobCrashedError           (tasks) a process that it depends on died
    ├── BatchEndedError               (flows) rows of a batch have no video
    └── ServerStartError              (farm) a Prefect server did not start, or the configured one can't be used

A kind answers what to do about an attempt that failed: whether and within which bound the chunk is tried again,
and whether there is a log of its command. The last nine classes have no kind, because that question is not asked of
them: a verification or a hashing that was told to stop has not failed, an AttemptFailedError has been counted
already, a job that ended has no further attempt, and a Prefect server is started before any job.

Every message says what failed, with the value, what was expected, and what to do.
"""

import errno
import os
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, ClassVar

from helios.usage import Usage


class RetryBudget(Enum):
    """What a failure counts against."""

    CHUNK = "chunk"
    """The chunk's retries: its command ran and failed."""
    ENVIRONMENT = "environment"
    """The environment's retries, which do not use up the chunk's."""
    NONE = "none"
    """Nothing is retried: another attempt would fail in the same way."""


class Failure(StrEnum):
    """The kind of a failure. Its value is its name between orchestrators and workers, and never changes."""

    REQUEST = "request"
    """The request is wrong."""
    COMMAND = "command"
    """The command failed."""
    TIMEOUT = "timeout"
    """The command ran longer than it may."""
    STALLED = "stalled"
    """The command gave no sign of life for longer than it may."""
    OUTPUT = "output"
    """The command wrote something else than was ordered."""
    UNAVAILABLE = "unavailable"
    """The worker failed."""

    @property
    def budget(self) -> RetryBudget:
        """What a failure of this kind counts against."""
        match self:
            case Failure.REQUEST:
                return RetryBudget.NONE
            case Failure.COMMAND | Failure.TIMEOUT | Failure.STALLED | Failure.OUTPUT:
                return RetryBudget.CHUNK
            case Failure.UNAVAILABLE:
                return RetryBudget.ENVIRONMENT

    @property
    def command_ran(self) -> bool:
        """Whether the command ran, so that what it printed is worth keeping."""
        return self.budget is RetryBudget.CHUNK

    def error(self, message: str) -> "HeliosError":
        """The error of this kind."""
        return _CLASSES[self](message)


class ExpectedError(Exception):
    """Base of every error that this package raises on purpose. Its text is fit to show to a user."""


class HeliosError(ExpectedError):
    """Base of every failure: a subclass states its kind, or inherits its parent's. Not raised itself."""

    failure: ClassVar[Failure]
    """The kind."""
    gpus: tuple[str, ...] = ()
    """The GPUs that the attempt had, where its adapter handed some out."""
    rendered_by: str | None = None
    """The worker of the attempt, where it told its name."""
    waited_ms: int = 0
    """How long the attempt waited for its GPUs on its worker."""
    usage: Usage | None = None
    """What the attempt used of its worker, where its adapter knows it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class without a kind.

        Raises:
            TypeError: Neither the class nor a parent states one.
        """
        super().__init_subclass__(**kwargs)
        if not isinstance(getattr(cls, "failure", None), Failure):
            raise TypeError(
                f"{cls.__name__} has no kind of failure; derive it from RequestError, CommandError or "
                "WorkerUnavailableError, or set its attribute `failure` to a member of helios.errors.Failure"
            )
        _CLASSES.setdefault(cls.failure, cls)

    def __init__(self, *args: object) -> None:
        if type(self) is HeliosError:
            raise TypeError("HeliosError has no kind of failure; raise one of its subclasses")
        super().__init__(*args)


_CLASSES: dict[Failure, type[HeliosError]] = {}
"""The first class of each kind: what is raised here for a failure that a worker states."""


class RequestError(HeliosError):
    """The request cannot work however often it is tried: a bad spec, a missing program, no permission."""

    failure = Failure.REQUEST


class CommandError(HeliosError):
    """The command ran and did not do its work. Another attempt may succeed."""

    failure = Failure.COMMAND


class CommandTimeoutError(CommandError):
    """The command was stopped because it ran longer than its timeout."""

    failure = Failure.TIMEOUT


class CommandStalledError(CommandError):
    """The command was stopped because it neither printed nor wrote anything for too long."""

    failure = Failure.STALLED


class OutputError(CommandError):
    """The command exited 0, but its output is missing, broken, or not what the job ordered."""

    failure = Failure.OUTPUT


class MisfitError(OutputError):
    """The output is of another kind than those accepted before. What happens twice in the same way is the command's."""


class WorkerUnavailableError(HeliosError):
    """The command did not run, or its end is unknown, because its environment failed."""

    failure = Failure.UNAVAILABLE


_PERMANENT = frozenset({
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOENT, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.EINVAL, errno.EEXIST, errno.ENOTSUP,
})  # fmt: skip
"""Errors of the file system that another attempt meets again. A full disk is none: somebody makes room."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk, or of a limit of files, that is full."""


def is_permanent(error: OSError) -> bool:
    """Whether another attempt meets the same error of the file system. A file that is gone may come back."""
    is_passing = error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(error.filename or ""))
    return error.errno in _PERMANENT and not is_passing


def file_system_error(error: OSError) -> HeliosError:
    """What an error of the file system means for an attempt: wrong rights and names are the request's, and stay."""
    where = f": {error.filename}" if error.filename else ""
    message = f"{error.strerror or error}{where}"
    if is_permanent(error):
        return RequestError(f"{message}; mend the rights or the names there, or give another job directory (--job-dir)")
    return WorkerUnavailableError(f"{message}; make room there" if error.errno in FULL else message)


MOST_PROBLEMS = 100
"""Of one document: a bad one of 100,000 chunks has a million, which nobody reads and which take gigabytes."""


@dataclass(frozen=True)
class Problem:
    """One reason why a document was refused."""

    path: str
    """Where in the document, as the user wrote it: `chunks[3].startFrame`. Empty for the whole document."""
    found: str
    """What stands there."""
    expected: str
    """What would be right."""

    def __str__(self) -> str:
        """The problem in one line."""
        line = f"{self.path + ': ' if self.path else ''}{self.found}; expected {self.expected}"
        return line.encode(errors="backslashreplace").decode()  # half of a surrogate pair can't be printed or sent


class SpecError(RequestError):
    """A job document was refused before anything ran.

    Args:
        source: What was read: a path, a URL, or "job".
        problems: Every reason found, at least one; about `MOST_PROBLEMS` where there are more.
    """

    SHOWN = 20

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(source, problems)

    def __str__(self) -> str:
        """One line for one problem, else one line for each of the first `SHOWN`."""
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        or_more = " or more" if len(self.problems) >= MOST_PROBLEMS else ""
        lines = [f"{self.source}: {len(self.problems)} problems{or_more}"]
        lines += [f"  {problem}" for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"  … and {len(self.problems) - self.SHOWN} more")
        return "\n".join(lines)
