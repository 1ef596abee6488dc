"""Decide which images of a sequence are what was ordered. Each is judged by itself; the others stay good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helios.errors import OutputError
from helios.media.fingerprints import PictureTaker
from helios.media.image_file import hash_image, read_image
from helios.models.image_pattern import ImagePattern
from helios.models.images import ImageKind, Known
from helios.models.pictures import ChunkPictures

MOST_FAULTS = 5
"""Images that a message names."""


@dataclass(frozen=True)
class ImageOrder:
    """What images are to be."""

    pattern: ImagePattern
    """Their names."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""


@dataclass
class FoundImages:
    """What was found of a sequence's images."""

    whole: dict[int, Known] = field(default_factory=dict)
    """Size and digest of each image that is as ordered, by frame."""
    faults: dict[int, str] = field(default_factory=dict)
    """What is wrong with the others, by frame."""
    kind: ImageKind | None = None
    """What the images are; None where none was decoded."""

    def explain(self) -> str:
        """The first faults, in the order of the frames."""
        frames = sorted(self.faults)
        more = len(frames) - MOST_FAULTS
        lines = [self.faults[frame] for frame in frames[:MOST_FAULTS]] + ([f"{more} more"] if more > 0 else [])
        return "; ".join(lines)


def verify_images(
    folder: Path,
    frames: Sequence[int],
    *,
    order: ImageOrder,
    known: Mapping[int, Known],
    kind: ImageKind | None,
    decode: bool = True,
    only_known: bool = False,
) -> FoundImages:
    """Read images, and decode those whose bytes are not known.

    Args:
        folder: Where they are.
        frames: Which ones.
        order: What they are to be.
        known: Images that were verified before: those that still have these bytes are not decoded.
        kind: What the sequence's images are; None where that is not known yet.
        decode: Whether pixels are decoded; else headers are read.
        only_known: Whether an image with other bytes than the known ones is a fault, and not looked at.
    """
    found = FoundImages(kind=kind)
    for frame in frames:
        path = folder / order.pattern.name(frame)
        try:
            if frame in known:
                read = hash_image(path)
                if (read.bytes, read.sha256) == known[frame]:
                    found.whole[frame] = known[frame]
                    continue
            if only_known:
                raise OutputError(f"{path.name} was changed since it was accepted")
            read = read_image(path, codec=order.pattern.codec, width=order.width, height=order.height, decode=decode)
            found.kind = found.kind or read.kind
            if read.kind is not None and found.kind is not None and read.kind != found.kind:
                raise OutputError(
                    f"{path.name} has {read.kind.differences(found.kind)}; expected images of one kind in a sequence"
                )
            found.whole[frame] = (read.bytes, read.sha256)
        except OutputError as exc:
            found.faults[frame] = str(exc)
    return found


def take_pictures(paths: Sequence[Path], *, order: ImageOrder) -> ChunkPictures:
    """What stays of the pictures of a whole chunk, in the order of its images.

    Raises:
        OutputError: One can't be read any more.
    """
    taker = PictureTaker()
    for path in paths:
        read_image(path, codec=order.pattern.codec, width=order.width, height=order.height, take=taker.take)
    return taker.result()


def other_images(names: Iterable[str], pattern: ImagePattern, frames: range) -> tuple[list[str], list[str]]:
    """What a command wrote beside the images that were ordered: those with another number, and the other ones."""
    ordered = {pattern.name(frame) for frame in frames}
    others = sorted(name for name in names if name.endswith(pattern.extension) and name not in ordered)
    return [name for name in others if pattern.number(name) is not None], others


def explain_images(pattern: ImagePattern, frames: range, found: FoundImages, others: Sequence[str]) -> str:
    """Say which images are missing or wrong, and what the command wrote instead.

    Args:
        pattern: Their names.
        frames: Those that were ordered.
        found: What was found of them.
        others: Images that were not ordered.
    """
    parts = []
    if found.faults:
        missing = len(frames) - len(found.whole)
        parts.append(f"{missing} of {len(frames)} images are not what was ordered: {found.explain()}")
    if others:
        span = others[0] if len(others) == 1 else f"{others[0]} to {others[-1]}"
        parts.append(
            f"The command wrote {span}; expected {pattern.name(frames[0])} to {pattern.name(frames[-1])} alone, with "
            f"the frames' own numbers (with ffmpeg -start_number {frames[0]})"
        )
    return ". ".join(parts)
