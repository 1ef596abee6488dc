"""Notice the end of the process that started this one: it holds the other end of a pipe, which closes with it."""

import os

STANDARD_INPUT = 0


def wait_until_parent_ends() -> None:
    """Read standard input to its end; for a thread of its own."""
    # Past Python's buffer, whose lock must not be held by a thread when the interpreter ends.
    while os.read(STANDARD_INPUT, 4096):
        pass
