"""The command of a job of images that renders a part of a chunk, as a template."""

from typing import Annotated

from pydantic import AfterValidator, Field

from helios.models.command_line import MAX_COMMAND, split_command
from helios.models.command_template import fill, placeholders_in, range_values


def _check(template: str) -> str:
    """Refuse a template that can't be filled, or that takes no range of frames.

    Raises:
        ValueError: Says what was expected.
    """
    words_for("", template, start=0, count=1)
    names = set(placeholders_in(template))
    if "start" not in names or not names & {"last", "end", "count"}:
        raise ValueError(
            "a command with {start}, and with {last}, {end} (one past the last) or {count}: it renders those frames "
            "of a chunk whose images are missing"
        )
    return template


RangeCommand = Annotated[str, Field(min_length=1, max_length=MAX_COMMAND), AfterValidator(_check)]
"""A template such as `blender -b scene.blend -o {output} -s {start} -e {last} -a`."""


def words_for(output: str, template: str, *, start: int, count: int) -> tuple[str, ...]:
    """The words of the command that renders some frames.

    Args:
        output: The chunk's output file.
        template: A range command.
        start: First frame.
        count: Number of frames.

    Raises:
        ValueError: It is no such template.
    """
    values = range_values(start, count) | {"output": output}
    return tuple(fill(word, values) for word in split_command(template))
