"""Which videos are animations, and what these can't be."""

from fractions import Fraction
from pathlib import Path

from helios.errors import RequestError
from helios.models.delivery import NO_DELIVERY, Delivery

GIF, WEBP = ".gif", ".webp"
ANIMATIONS = frozenset({GIF, WEBP})
"""File extensions of what is encoded from a joined video; see `helios.media.animation`."""
FASTEST_GIF = 50
"""Frames per second: browsers show a frame of less than 0.02 s for 0.1 s."""
MOST_PIXELS = 16383
"""Of a side of a WebP."""


def is_animation(output: Path) -> bool:
    """Whether an output is an animation, by its name."""
    return output.suffix.lower() in ANIMATIONS


def joined_name(output: Path) -> Path:
    """The name of the video that the chunks are joined into: the output's own, or a .mkv for an animation."""
    return output.with_suffix(".mkv") if is_animation(output) else output


def check_animation(
    output: Path, *, fps: Fraction, width: int, height: int, has_sound: bool, delivery: Delivery
) -> None:
    """Refuse what an animation can't be.

    Args:
        output: Its name alone counts.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.
        has_sound: Whether sound is asked for.
        delivery: Fragments, brand and metadata that are asked for.

    Raises:
        RequestError: Says what was expected.
    """
    kind = output.suffix.lower()
    if has_sound:
        raise RequestError(
            f"{output.name}: a {kind} has no sound (--audio); leave it out, or name a video such as .mp4"
        )
    if delivery != NO_DELIVERY:
        raise RequestError(
            f"{output.name}: a {kind} has no fragments, brand or metadata (--fragments, --brand, --metadata); leave "
            "them out, or name a video such as .mp4"
        )
    if kind == GIF and fps > FASTEST_GIF:
        raise RequestError(
            f"{output.name}: a GIF has {FASTEST_GIF} frames per second at most, and this job {float(fps):g}; players "
            "show shorter frames for 0.1 s. Render fewer frames, or name a .webp"
        )
    if kind == WEBP and max(width, height) > MOST_PIXELS:
        raise RequestError(
            f"{output.name}: a WebP has {MOST_PIXELS} pixels a side at most, and this job {width}×{height}"
        )
