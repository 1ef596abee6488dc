"""The images of a sequence that is to be encoded: which files a pattern such as `shot_####.exr` names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helios.errors import RequestError
from helios.models.image_pattern import IMAGE_CODECS, MAX_IMAGES, ImagePattern, image_pattern

SHOWN = 5
"""Names and numbers that an error lists."""


@dataclass(frozen=True)
class ImageFiles:
    """A sequence of images without gaps."""

    pattern: ImagePattern
    """What they are called."""
    folder: Path
    """Where they are."""
    first: int
    """The number of the first one."""
    count: int
    """How many there are."""

    @property
    def paths(self) -> list[Path]:
        """The files, in their order."""
        return [self.folder / self.pattern.name(number) for number in range(self.first, self.first + self.count)]


def is_images(source: Path) -> bool:
    """Whether a source is named as images are, and not as a video."""
    return source.suffix.lower() in IMAGE_CODECS


def find_images(source: Path) -> ImageFiles:
    """Look for the files that a pattern names. The first number is that of the files.

    Raises:
        RequestError: It is no pattern, there are no such files, or one is missing in the middle.
    """
    try:
        pattern = image_pattern(source.name)
    except ValueError as exc:
        raise RequestError(f"{source}: expected {exc}") from None
    if pattern is None or pattern.digits is None:
        raise RequestError(
            f"{source} is one image; expected a video, or the name of a sequence with a field for the frame's number, "
            "such as shot_####.png or shot_%04d.png"
        )
    folder = source.parent
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError as exc:
        raise RequestError(f"{folder} can't be read: {exc.strerror}; expected the folder of the images") from None
    numbers = sorted({
        number for name in names if (number := pattern.number(name)) is not None and pattern.name(number) == name
    })  # fmt: skip
    if not numbers:
        near = sorted(name for name in names if name.endswith(pattern.extension))[:SHOWN]
        there = f"there are {', '.join(near)}" if near else f"no {pattern.extension} is there"
        raise RequestError(f"No file in {folder} is called {source.name}; {there}")
    _refuse_gaps(pattern, numbers)
    return ImageFiles(pattern, folder, numbers[0], len(numbers))


def _refuse_gaps(pattern: ImagePattern, numbers: list[int]) -> None:
    first, last = numbers[0], numbers[-1]
    missing = last - first + 1 - len(numbers)
    if missing:
        there = set(numbers)
        absent = (number for number in range(first, last) if number not in there)
        names = [pattern.name(next(absent)) for _ in range(min(missing, SHOWN))]
        more = f" and {missing - SHOWN} more" if missing > SHOWN else ""
        raise RequestError(
            f"Of the images {pattern.name(first)} to {pattern.name(last)} there is no {', '.join(names)}{more}; "
            "expected one for each number"
        )
    if len(numbers) > MAX_IMAGES:
        raise RequestError(f"{len(numbers)} images; expected at most {MAX_IMAGES}")
