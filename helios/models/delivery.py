"""How the joined video is delivered: fragments, brand and metadata. What a container can't do is refused elsewhere."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from helios.bounded_json import MAX_DIGITS
from helios.models.base import WireModel

KEYFRAME = "keyframe"
"""A fragment for each key frame."""
LANGUAGE, CREATION_TIME = "language", "creation_time"
"""Metadata that is not only text: the language of the tracks, and the time that the container states."""
UNDETERMINED = "und"
"""The language of a track that states none (ISO 639-2)."""
MAX_SECONDS = 3600.0
"""Of a fragment."""
MAX_KEY, MAX_VALUE = 100, 10_000
"""Characters."""
MAX_ENTRIES = 1000
"""Of metadata."""

Fragments = Literal["keyframe"] | float


def parse_fragments(value: object) -> Fragments:
    """Read where fragments begin.

    Args:
        value: "keyframe", or a number of seconds, 0 < seconds ≤ 3600; the command line's numbers are texts.

    Raises:
        ValueError: Says what was expected.
    """
    expected = f"keyframe, or a number of seconds above 0 and up to {MAX_SECONDS:g}"
    if value == KEYFRAME:
        return "keyframe"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        raise ValueError(expected)
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        raise ValueError(expected) from None
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(expected)
    return seconds


def check_brand(brand: str) -> str:
    """Refuse what is no brand (ISO 14496-12, section 4.3).

    Raises:
        ValueError: Says what was expected.
    """
    if not re.fullmatch(r"[\x20-\x7e]{4}", brand):
        raise ValueError("a brand of four characters, such as mp42, iso6 or dash")
    return brand


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Bring metadata into the form in which they are compared: keys in small letters, times in UTC.

    Raises:
        ValueError: Says what was expected.
    """
    if len(metadata) > MAX_ENTRIES:
        raise ValueError(f"at most {MAX_ENTRIES} entries")
    checked = {}
    for key, value in metadata.items():
        if not re.fullmatch(rf"[^\x00-\x20=]{{1,{MAX_KEY}}}", key):
            raise ValueError(f"keys of up to {MAX_KEY} characters without spaces and = (found: {key[:40]!r})")
        if "\0" in value or len(value) > MAX_VALUE:
            raise ValueError(f"a value of up to {MAX_VALUE} characters for {key}")
        checked[key.lower()] = _VALUES.get(key.lower(), str)(value)
    return checked


def _check_language(value: str) -> str:
    if not value:
        return UNDETERMINED
    if not re.fullmatch("[a-z]{3}", value):
        raise ValueError(f"three letters of ISO 639-2 as language, such as eng (found: {value[:40]!r})")
    return value


def _check_time(value: str) -> str:
    if not value:
        return value
    try:
        time = datetime.fromisoformat(value)
        time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):  # beyond the year 9999, or before the first, where its zone is not UTC
        time = datetime.max
    if time == datetime.max or time.microsecond:
        raise ValueError(f"a creation_time in whole seconds, such as 2026-11-26T12:00:00Z (found: {value[:40]!r})")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


_VALUES = {LANGUAGE: _check_language, CREATION_TIME: _check_time}


class Delivery(WireModel):
    """Settings of the joined video's container; without any, it is an ordinary file that says what its chunks say."""

    fragments: Annotated[
        Fragments | None, BeforeValidator(lambda value: None if value in (None, "") else parse_fragments(value))
    ] = None
    """Makes a fragmented MP4 or MOV, for streaming: a fragment for each key frame, or for at least so many seconds.
    Each begins with a key frame."""
    brand: Annotated[
        Annotated[str, AfterValidator(check_brand)] | None,
        BeforeValidator(lambda value: None if value == "" else value),
    ] = None
    """The major brand of an MP4 or MOV; the container's usual one when empty."""
    metadata: Annotated[dict[str, str], AfterValidator(check_metadata)] = Field(default_factory=dict)
    """Title, comment, … of the file, and the language of its tracks; an empty value leaves out what the chunks say."""


NO_DELIVERY = Delivery.model_construct()
"""An ordinary file. It is not validated: pydantic would make its validators when a worker starts."""
