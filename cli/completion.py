"""`helios-job completion`: what a shell needs to complete its commands."""

import click
from click.shell_completion import get_completion_class

from cli.say import say

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_HELIOS_JOB_COMPLETE"
"""With it set, the command answers the shell; click's name for it."""


@click.command(epilog="Example: helios-job completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a script with which SHELL completes commands, options, files, adapters and runs."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  click has all three
    say(found(context.find_root().command, {}, "helios-job", VARIABLE).source())
    return 0
