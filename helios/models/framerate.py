"""Frame rates as exact fractions, written as JSON writes them."""

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

MAX_FPS = 1000
# A Fraction computes 10**N for "1eN": minutes for a text of twelve characters. So a text is measured, and has an
# exponent of two digits at most.
_TEXT = re.compile(r"\s{0,9}[+-]?(\d{1,20}(/\d{1,20}|\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?\s{0,9}", re.ASCII)
# Keeps 30000/1001 exact when it arrives as the float 29.97002997…, and 29.97 as the 2997/100 that
# `ffmpeg -r 29.97` renders.
MAX_DENOMINATOR = 100_100


def parse_frame_rate(value: object) -> Fraction:
    """Read a frame rate in frames per second from a number or a rational string.

    Args:
        value: 30, 29.97, "25", "30000/1001", or a Fraction; 0 < rate ≤ 1000.

    Raises:
        ValueError: It is none of these.
    """
    expected = f'a frame rate above 0 and up to {MAX_FPS}: a number, or a string such as "30000/1001"'
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError(expected)
    if isinstance(value, str) and not _TEXT.fullmatch(value):
        raise ValueError(expected)
    try:
        rate = Fraction(repr(value) if isinstance(value, float) else value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(expected) from None
    if isinstance(value, float):
        rate = rate.limit_denominator(MAX_DENOMINATOR)
    if not 0 < rate <= MAX_FPS:
        raise ValueError(expected)
    return rate


def write_frame_rate(rate: Fraction) -> int | str:
    """The inverse of `parse_frame_rate`: 30, or "30000/1001"."""
    return rate.numerator if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


def _before(value: Any) -> Fraction:
    return parse_frame_rate(value)


FrameRate = Annotated[
    Fraction,
    BeforeValidator(_before),
    PlainSerializer(write_frame_rate),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]
"""Frames per second, exact."""
