"""A command as a document states it: words, quoted as for a POSIX shell, split without one."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_COMMAND = 1024 * 1024
"""Characters. Linux takes 2 MiB of arguments and variables together, and 128 KiB of one argument."""
# `shlex` goes through a text character by character in Python: 100 s for 30 MB; these take a second. They are
# possessive, so that no text makes them try twice. Each alternative is a piece of a word: plain characters and those
# after a backslash; a text in ' without exceptions; a text in ", in which a backslash stands before " and \ alone.
_PLAIN, _SINGLE, _DOUBLE = r"(?:[^ \t\r\n'\"\\]++|\\.)++", r"'[^']*+'", r'"(?:[^"\\]++|\\.)*+"'
_WORD = re.compile(rf"(?:{_PLAIN}|{_SINGLE}|{_DOUBLE})++", re.DOTALL)
_PIECE = re.compile(rf"({_PLAIN})|({_SINGLE})|({_DOUBLE})", re.DOTALL)
_CLOSED = re.compile(rf"(?:[^'\"\\]++|(?:\\.)++|{_SINGLE}|{_DOUBLE})*+", re.DOTALL)
_NOTHING = re.compile(r"[ \t\r\n]*+(?:''|\"\")*+")
"""What stands before the first word, and empty pieces of it."""
_SIGNS = re.compile(r"['\"\\]")


def split_command(command: str) -> tuple[str, ...]:
    """Split a command into words as a POSIX shell does, without running or expanding anything.

    Raises:
        ValueError: It is too long, a quote is not closed, or there is no word.
    """
    check_command(command)
    return tuple(_unquoted(word) for word in _WORD.findall(command))


def check_command(command: str) -> str:
    """Refuse what `split_command` would; takes less time, and no memory.

    Raises:
        ValueError: Says what was expected.
    """
    if len(command) > MAX_COMMAND:
        raise ValueError(f"a command of at most {MAX_COMMAND} characters")
    if "\0" in command:
        raise ValueError("a command without NUL characters")
    whole = _CLOSED.match(command)
    end = whole.end() if whole else 0
    if end < len(command):
        reason = "No escaped character" if command[end] == "\\" else "No closing quotation"
        raise ValueError(f"a command that a POSIX shell can split into words ({reason})")
    nothing = _NOTHING.match(command)
    begin = nothing.end() if nothing else 0
    if begin == len(command) or command[begin] in " \t\r\n":
        raise ValueError("a command: a program and its arguments")
    return command


def _unquoted(word: str) -> str:
    if _SIGNS.search(word) is None:
        return word
    return "".join(_read(plain, single, double) for plain, single, double in _PIECE.findall(word))


def _read(plain: str, single: str, double: str) -> str:
    if single:
        return single[1:-1]
    if double:
        return re.sub(r"\\([\"\\])", r"\1", double[1:-1]) if "\\" in double else double[1:-1]
    return re.sub(r"\\(.)", r"\1", plain, flags=re.DOTALL) if "\\" in plain else plain


Command = Annotated[str, Field(max_length=MAX_COMMAND), AfterValidator(check_command)]
"""A program and its arguments, quoted as for a POSIX shell; run without one."""
