"""What lines of a command's output, and its exit codes, mean."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from helios.models.base import WireModel

MAX_PATTERN = 200
"""Characters of a pattern."""
MOST_PATTERNS = 50
"""Of one kind."""
FIELDS = ("{frame}", "{count}", "{percent}")
"""The numbers that a pattern of progress may have."""
_NUMBERS = {
    "{frame}": r"\s*+(?P<frame>\d{1,9})",
    "{count}": r"\s*+(?P<count>\d{1,9})",
    "{percent}": r"\s*+(?P<percent>\d{1,9})(?:\.\d*+)?",
}
_PIECES = re.compile(r"(\*|\{frame\}|\{count\}|\{percent\})")


def check_line_pattern(pattern: str) -> str:
    """Refuse a pattern that matches every line, or none.

    Raises:
        ValueError: Says what was expected.
    """
    if not pattern.strip("* ") or "\n" in pattern:
        raise ValueError("a pattern of one line, such as `Error: *`, in which * stands for any text")
    return pattern


def check_progress_pattern(pattern: str) -> str:
    """Refuse a pattern without a number, or with several.

    Raises:
        ValueError: Says what was expected.
    """
    if sum(pattern.count(field) for field in FIELDS) != 1:
        raise ValueError(f"a pattern with one of {', '.join(FIELDS)}, such as `Fra:{{frame}} *`")
    return check_line_pattern(pattern)


def line_expression(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, for whole lines without white space around them; case is ignored.

    `*` is any text, and a field is a number with or without spaces before it. Each piece between two `*` is taken where
    it comes first, for good: no line makes the expression try in vain, whoever wrote the pattern.
    """
    parts = pattern.strip().split("*")
    pieces = [_piece(part) for part in parts]
    first, *others = pieces
    if not others:
        return re.compile(first, re.IGNORECASE)
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    return re.compile(f"{first}{middle}.*{others[-1]}", re.IGNORECASE)


def _piece(part: str) -> str:
    return "".join(_NUMBERS.get(one) or re.escape(one) for one in _PIECES.split(part))


LinePattern = Annotated[str, Field(max_length=MAX_PATTERN), AfterValidator(check_line_pattern)]
"""A whole line, in which `*` stands for any text; case is ignored."""
LinePatterns = Annotated[tuple[LinePattern, ...], Field(max_length=MOST_PATTERNS)]
ProgressPattern = Annotated[str, Field(max_length=MAX_PATTERN), AfterValidator(check_progress_pattern)]
"""A line with a number in it."""
ExitCode = Annotated[int, Field(strict=True, ge=-64, le=255)]


class LogRules(WireModel):
    """What a command means by what it prints, and by its exit code."""

    failure: LinePatterns = ()
    """Lines that mean that the command has failed, whatever its exit code."""
    environment: LinePatterns = ()
    """Lines that mean that its machine has failed: out of memory, out of licences. Such an attempt does not count
    against the chunk's retries."""
    warning: LinePatterns = ()
    """Lines that a person should see."""
    progress: Annotated[tuple[ProgressPattern, ...], Field(max_length=MOST_PATTERNS)] = ()
    """Lines that say how far it is: `{frame}` is the number of the frame that is being rendered, as the job counts
    frames; `{count}` the number of frames that are done; `{percent}` the share that is done."""
    environment_codes: Annotated[tuple[ExitCode, ...], Field(max_length=MOST_PATTERNS)] = ()
    """Exit codes that mean that its machine has failed; -N for a command that signal N ended."""
