"""Print for people: whatever is in a name or a message, the terminal carries nothing of it out."""

import json
from datetime import UTC, datetime

import click

from helios.plain_text import visible

_errors_as_json = False


def write_errors_as_json(wanted: bool) -> None:
    """Write what goes to standard error as JSON objects, a line each, from now on; or as plain lines again."""
    global _errors_as_json
    _errors_as_json = wanted


def say(text: str, *, err: bool = False, level: str = "error") -> None:
    r"""Print lines.

    Args:
        text: The lines. Control characters in them are shown as `\u001b`, which in JSON is the character itself.
        err: On standard error, and not on standard output.
        level: What it is where standard error is for programs: `info`, `warning` or `error`.
    """
    said = visible(text)
    if err and _errors_as_json:
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        said = json.dumps({"time": when, "level": level, "message": said}, ensure_ascii=False)
    click.echo(said, err=err)
