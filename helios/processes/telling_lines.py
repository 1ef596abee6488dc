"""Choose the few lines of a command's output that tell why it failed: errors before stacks and repetitions."""

import re
from collections.abc import Sequence

_ERROR = re.compile(
    r"error|fatal|exception|fail|cannot|can't|could not|unable|no such|not found|not supported|only supported|"
    r"unsupported|denied|refused|invalid|unrecogni[sz]ed|unknown|abort|panic|killed|out of memory|no space|missing",
    re.IGNORECASE,
)
_STACK = re.compile(
    r"^\s*(at\s.+[:(]\S*\d|at\s\S+\s\(|File \".*\", line \d+|\^[\s^~]*$|~+\^*~*$|node:internal|Node\.js v\d|"
    r"Traceback \(most recent|\.\.\. \d+ more|\d+:\s+0x[0-9a-f]+|[})\];,]+$)"
)
"""Lines of stacks as Node, Java, Python and Rust print them, and of what they print around them."""
_PYTHON_FRAME = re.compile(r'^\s*File ".*", line \d+')
_NUMBER = re.compile(r"\d+")


def telling_lines(text: str, *, lines: int = 5) -> tuple[list[str], bool]:
    """The lines that matter, in their order.

    Args:
        text: What the command printed.
        lines: How many, at most.

    Returns:
        The lines; and whether they are the last ones, as they were printed.
    """
    printed = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    folded = _fold(_without_stacks(printed) or printed)
    end = set(range(max(0, len(folded) - lines), len(folded)))
    errors = [place for place, line in enumerate(folded) if _ERROR.search(line)]
    # The first error is the cause more often than the last; both are worth more than what was printed at the end.
    wanted = dict.fromkeys([*errors[:2], *errors[-2:], *sorted(end, reverse=True)])
    chosen = sorted(list(wanted)[:lines]) if errors else sorted(end)
    found = [folded[place] for place in chosen]
    return found, found == printed[-lines:]


def has_errors(text: str) -> bool:
    """Whether a line of a text looks like an error."""
    return any(_ERROR.search(line) for line in _without_stacks(text.splitlines()))


def _without_stacks(printed: Sequence[str]) -> list[str]:
    kept, is_source = [], False
    for line in printed:
        if is_source and line.startswith("    "):
            is_source = False  # the line of source code below a frame of Python's
            continue
        is_source = _PYTHON_FRAME.match(line) is not None
        if not _STACK.match(line):
            kept.append(line)
    return kept


def _fold(printed: Sequence[str]) -> list[str]:
    """Lines without repetitions: of lines in a row that differ in numbers alone, the last stays, with their number."""
    folded: list[str] = []
    counts: list[int] = []
    shapes: list[str] = []
    for line in printed:
        shape = _NUMBER.sub("0", line)
        if shapes and shapes[-1] == shape:
            folded[-1] = line
            counts[-1] += 1
        else:
            folded.append(line)
            shapes.append(shape)
            counts.append(1)
    return [f"{line} ({count} times)" if count > 2 else line for line, count in zip(folded, counts, strict=True)]
