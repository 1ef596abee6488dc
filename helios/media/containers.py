"""The containers that a stitched video can be written into."""

from functools import cache
from io import BytesIO
from pathlib import Path

import av

from helios.errors import RequestError
from helios.media.animation_kinds import is_animation

CONTAINERS = {
    ".mp4": ("mp4", "aac"),
    ".m4v": ("mp4", "aac"),
    ".mov": ("mov", "aac"),
    ".mkv": ("matroska", "aac"),
    ".webm": ("webm", "libopus"),
}
"""File extension of a stitched video: FFmpeg's name of the container, and of the encoder for its sound."""


def container_of(output: Path) -> tuple[str, str]:
    """Container and sound encoder for an output's file extension.

    Raises:
        RequestError: The extension is not one of `CONTAINERS`.
    """
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        # What is asked for as a job's video may be an animation, for which the name of a joined video is looked up.
        why = "an animation can't be had here" if is_animation(output) else "can't tell the container"
        raise RequestError(f"{output.name or output}: {why}; use a name that ends in {', '.join(CONTAINERS)}") from None


def check_container(output: Path, codec: str) -> None:
    """Refuse a video codec that the output's container has no place for.

    Raises:
        RequestError: Names the containers that have.
    """
    name, _ = container_of(output)
    if codec in _codecs_of(name):
        return
    others = ", ".join(suffix for suffix, (other, _) in CONTAINERS.items() if codec in _codecs_of(other))
    if not others:
        # FFmpeg's command writes more kinds into Matroska, in the way of AVI; PyAV does not.
        raise RequestError(
            f"{output.name}: {codec} video can't be copied into {name}, nor into another container that helios-render "
            f"writes ({', '.join(CONTAINERS)}); render the chunks with another codec, such as ffv1 or prores, or join "
            "them with a mergeCommand (ffmpeg writes some such codecs into .mkv)"
        )
    raise RequestError(f"{output.name}: {name} has no place for {codec} video; use one of {others}")


@cache
def _codecs_of(container: str) -> frozenset[str]:
    with av.open(BytesIO(), "w", format=container) as probe:
        return frozenset(probe.supported_codecs)
