"""Names of image sequences: a pattern such as `shots/shot_####.exr` or `shots/shot_%04d.exr`, and its images' names."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

IMAGE_CODECS = {
    ".png": "png",
    ".jpg": "mjpeg",
    ".jpeg": "mjpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".exr": "exr",
    ".dpx": "dpx",
    ".webp": "webp",
    ".bmp": "bmp",
}
"""By file extension, FFmpeg's name of the decoder of images that chunks may write."""
MAX_IMAGES = 100_000
"""Images of a job, more than an hour of video: each has a name on record."""
_FIELD = re.compile(r"#+|%(?:0\d{1,2})?d")


@dataclass(frozen=True)
class ImagePattern:
    """What the images of a sequence are called: `prefix`, the frame's number, `suffix`."""

    folder: str
    """The folder as the document writes it, with a slash at its end; empty for the job directory."""
    prefix: str
    """What stands before the number in the file's name."""
    digits: int | None
    """The number has so many digits, with zeros in front; 0 for as many as it needs, None for no number (a still)."""
    suffix: str
    """What stands behind the number, with the extension."""

    @property
    def codec(self) -> str:
        """FFmpeg's name of the images' decoder."""
        return IMAGE_CODECS[self.extension.lower()]

    @property
    def extension(self) -> str:
        """The extension of the files, with its dot."""
        return self.suffix[self.suffix.rindex(".") :]

    def name(self, frame: int) -> str:
        """The file's name of a frame, without its folder."""
        number = "" if self.digits is None else f"{frame:0{self.digits or 1}d}"
        return f"{self.prefix}{number}{self.suffix}"

    def path(self, frame: int) -> str:
        """The path of a frame's image, as the document would write it."""
        return f"{self.folder}{self.name(frame)}"

    def number(self, name: str) -> int | None:
        """The frame of an image by its file's name; None for any other name, and for a still."""
        end = len(name) - len(self.suffix)
        if self.digits is None or not name.startswith(self.prefix) or not name.endswith(self.suffix):
            return None
        digits = name[len(self.prefix) : end]
        return int(digits) if re.fullmatch(r"[0-9]{1,18}", digits) else None

    def holds(self, frame: int) -> bool:
        """Whether a frame's number fits the field."""
        return not self.digits or len(str(frame)) <= self.digits

    @property
    def spellings(self) -> frozenset[str]:
        """The words by which a command may name the sequence: with `#` and `%`, with and without the extension."""
        fields = {""} if self.digits is None else {f"%0{self.digits}d", "#" * self.digits} if self.digits else {"%d"}
        ends = {self.suffix} if self.digits is None else {self.suffix, self.suffix.removesuffix(self.extension)}
        return frozenset(f"{self.folder}{self.prefix}{field}{end}" for field in fields for end in ends)


@lru_cache(maxsize=1024)
def image_pattern(path: str) -> ImagePattern | None:
    """Read the name of a chunk's output as that of images; None where its extension is none of `IMAGE_CODECS`.

    Raises:
        ValueError: The name has several numbers, or one in a folder's name; says what was expected.
    """
    if PurePosixPath(path).suffix.lower() not in IMAGE_CODECS:
        return None
    folder, slash, name = path.rpartition("/")
    fields = list(_FIELD.finditer(name))
    if re.search(r"%(?:0\d{1,2})?d", folder):
        raise ValueError("the number of the frame in the file's name alone, and none in a folder's")
    if len(fields) > 1:
        raise ValueError("one field for the frame's number in the name, such as #### or %04d")
    if not fields:
        extension = PurePosixPath(name).suffix
        return ImagePattern(f"{folder}{slash}", name.removesuffix(extension), None, extension)
    field, (start, end) = fields[0].group(), fields[0].span()
    digits = len(field) if field[0] == "#" else int(field[1:-1] or 0)
    return ImagePattern(f"{folder}{slash}", name[:start], digits, name[end:])
