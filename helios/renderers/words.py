"""Fill a preset's templates: names in words, and words that stand for several."""

import re
from collections.abc import Mapping, Sequence

from helios.errors import RequestError
from helios.models.command_line import split_command

_SEVERAL = re.compile(r"\{\*([a-z][a-z0-9_]*)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with values in the place of names.

    Raises:
        RequestError: It can't be filled so.
    """
    try:
        return template.format_map(values)
    except (ValueError, KeyError, IndexError, TypeError) as exc:
        raise RequestError(f"The preset's {template!r} can't be filled: {type(exc).__name__} {exc}") from None


def fill_words(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Put the words of an option where `{*NAME}` stands for them; other words stay templates.

    Raises:
        RequestError: An option's value can't be split into words.
    """
    filled: list[str] = []
    for word in words:
        if not (found := _SEVERAL.fullmatch(word)):
            filled.append(word)
            continue
        name = found[1]
        try:
            own = split_command(values[name]) if values[name].strip() else ()
        except ValueError as exc:
            raise RequestError(f"--set {name}={values[name]!r}: expected {exc}") from None
        filled += [one.replace("{", "{{").replace("}", "}}") for one in own]
    return filled
