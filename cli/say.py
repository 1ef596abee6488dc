"""Print for people: whatever is in a name or a message, the terminal carries nothing of it out."""

import click

from helios.plain_text import visible


def say(text: str, *, err: bool = False) -> None:
    r"""Print lines.

    Args:
        text: The lines. Control characters in them are shown as `\u001b`, which in JSON is the character itself.
        err: On standard error, and not on standard output.
    """
    click.echo(visible(text), err=err)
