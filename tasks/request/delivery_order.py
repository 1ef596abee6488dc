"""How the joined video is delivered: what a request asks for, over what the document says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from helios.errors import RequestError
from helios.media.animation_kinds import check_animation, is_animation
from helios.media.delivery import check_delivery
from helios.media.sound_order import SoundOrder
from helios.models.delivery import Delivery, check_brand, check_metadata, parse_fragments
from helios.models.spec import JobSpec

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


def wanted_delivery(
    stated: Delivery,
    *,
    fragments: str | float | None = None,
    brand: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Delivery:
    """Put together what is wanted.

    Args:
        stated: What the job document says.
        fragments: As asked for; None for what the document says. So are the others.
        brand: Likewise.
        metadata: Likewise, key by key.

    Raises:
        RequestError: A value is none; says what was expected.
    """
    parsed = _checked("fragments", "--fragments", fragments, parse_fragments)
    named = _checked("brand", "--brand", brand, check_brand)
    texts = _checked("metadata", "--metadata", metadata, check_metadata)
    return Delivery(
        fragments=stated.fragments if parsed is None else parsed,
        brand=stated.brand if named is None else named,
        metadata={**stated.metadata, **(texts or {})},
    )


def _checked(name: str, option: str, value: Wanted | None, check: Callable[[Wanted], Found]) -> Found | None:
    try:
        return None if value is None else check(value)
    except ValueError as exc:
        shown = "" if isinstance(value, Mapping) else f" {value!r}"
        raise RequestError(f"The {name}{shown} can't be used ({option}); expected {exc}") from None


def check_video(output: Path, spec: JobSpec, *, sound: SoundOrder, delivery: Delivery) -> None:
    """Refuse a video that can't be made, whatever the chunks are like.

    Args:
        output: Its name alone counts.
        spec: The document.
        sound: What is asked for as its sound.
        delivery: Its fragments, brand and metadata.

    Raises:
        RequestError: Says what was expected.
    """
    if is_animation(output):
        size, asked = spec.metadata, sound.file is not None or sound.codec is not None
        check_animation(output, fps=size.fps, width=size.width, height=size.height, has_sound=asked, delivery=delivery)
    else:
        check_delivery(output, delivery)
        sound.check(output)
