"""What can go wrong, in the three kinds that decide what happens next.

    HeliosError
    ├── RequestError              the request is wrong: nothing is retried, siblings are stopped
    │   └── SpecError             a job document was refused; `problems` lists every reason
    ├── CommandError              the command ran and failed: counts against the chunk's retries
    │   ├── CommandTimeoutError   it ran longer than it may
    │   ├── CommandStalledError   it gave no sign of life for longer than it may
    │   └── OutputError           it exited 0, but what it wrote is not what was ordered
    └── WorkerUnavailableError    the environment failed: retried within a bound of its own

Every message says what failed, with the value, what was expected, and what to do.
"""

from dataclasses import dataclass


class HeliosError(Exception):
    """Base of every error that this package raises on purpose. Its text is fit to show to a user."""


class RequestError(HeliosError):
    """The request cannot work however often it is tried: a bad spec, a missing program, no permission."""


class CommandError(HeliosError):
    """The command ran and did not do its work. Another attempt may succeed."""


class CommandTimeoutError(CommandError):
    """The command was stopped because it ran longer than its timeout."""


class CommandStalledError(CommandError):
    """The command was stopped because it neither printed nor wrote anything for too long."""


class OutputError(CommandError):
    """The command exited 0, but its output is missing, broken, or not what the job ordered."""


class WorkerUnavailableError(HeliosError):
    """The command did not run, or its end is unknown, because its environment failed."""


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
        return f"{self.path + ': ' if self.path else ''}{self.found}; expected {self.expected}"


class SpecError(RequestError):
    """A job document was refused before anything ran.

    Args:
        source: What was read: a path, a URL, or "job".
        problems: Every reason found, at least one.
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
        lines = [f"{self.source}: {len(self.problems)} problems"]
        lines += [f"  {problem}" for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"  … and {len(self.problems) - self.SHOWN} more")
        return "\n".join(lines)
