"""Templates of commands and names: `{start}` and its like are filled for a range of frames."""

import re
import string
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

PLACEHOLDERS = (
    "start", "count", "end", "last", "start_time", "end_time", "seek_time",
    "preroll", "preroll_start", "output", "index",
)  # fmt: skip
"""The names that a template may use.

start: first frame. count: number of frames. end: one past the last frame. last: the last frame.
start_time, end_time: seconds from frame 0 to `start` and to `end`, exact where nine decimals can say them.
seek_time: half a frame before `start_time`, and 0 at least: where to seek to, so that rounding loses no frame.
preroll: frames to render before `start` and not to write. preroll_start: the first of them.
output: the chunk's output file. index: the chunk's number, from 0.
"""

Value = int | str | Decimal

_DECIMALS = 9
"""Of a time: a rate such as 30000/1001 gives seconds that no number of decimals says exactly."""

_FORM = re.compile(r"[<>^=+-]?0?\d{0,2}(\.\d)?[dfx]?")
"""How a value may be written: a width of millions of characters would be made."""


def placeholders_in(template: str) -> list[str]:
    """The names that a template uses.

    Raises:
        ValueError: It is no template.
    """
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def fill(template: str, values: Mapping[str, Value]) -> str:
    """Put values into their places.

    Raises:
        ValueError: It is no template, or names something else.
    """
    known = ", ".join(f"{{{name}}}" for name in dict.fromkeys((*PLACEHOLDERS, *values)) if name in values)
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
        names = [str(name) for _, name, _, _ in fields]
        if wrong := next((form for *_, form, _ in fields if form and not _FORM.fullmatch(form)), None):
            raise ValueError(f"{wrong[:40]!r} is no form of a number; expected one such as 04d")
        if (unknown := next((name for name in names if name not in values), None)) is None:
            return template.format_map(values)
    except (ValueError, KeyError, IndexError) as exc:
        raise ValueError(f"{template!r} is not a template ({exc}). Known: {known}. Write {{{{ for a brace.") from None
    raise ValueError(f"{template!r}: {{{unknown}}} is not known here. Known: {known}. Write {{{{ for a brace.")


def fill_some(template: str, values: Mapping[str, Value]) -> str:
    """Put some values into their places, and leave a template for the others.

    Raises:
        ValueError: It is no template.
    """
    parts = []
    for text, name, form, _ in string.Formatter().parse(template):
        parts.append(_as_text(text))
        if name is not None:
            place = f"{{{name}:{form}}}" if form else f"{{{name}}}"
            parts.append(_as_text(format(values[name], form or "")) if name in values else place)
    return "".join(parts)


def _as_text(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def range_values(start: int, count: int, *, index: int | None = None) -> dict[str, Value]:
    """The values of a range of frames."""
    values: dict[str, Value] = {"start": start, "count": count, "end": start + count, "last": start + count - 1}
    return values if index is None else values | {"index": index}


def chunk_values(start: int, count: int, *, rate: Fraction, index: int, preroll: int) -> dict[str, Value]:
    """The values of a chunk, all but its output.

    Args:
        start: First frame.
        count: Frames.
        rate: Frames per second.
        index: The chunk's number, from 0.
        preroll: Frames to render before it; the value is less where it begins less than that after frame 0.
    """
    before = min(preroll, start)
    return range_values(start, count, index=index) | {
        "start_time": _seconds(start, rate), "end_time": _seconds(start + count, rate),
        "seek_time": _seconds(max(start - Fraction(1, 2), Fraction(0)), rate),
        "preroll": before, "preroll_start": start - before,
    }  # fmt: skip


def _seconds(frame: int | Fraction, rate: Fraction) -> Decimal:
    """From frame 0 to a frame, without the zeros at the end."""
    nearest = round(frame / rate * 10**_DECIMALS)
    return Decimal(f"{Decimal(nearest).scaleb(-_DECIMALS):f}".rstrip("0").rstrip(".") if nearest else 0)
