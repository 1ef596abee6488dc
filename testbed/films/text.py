"""Text drawn by Pillow with a real font, and as workers draw it on which that font is missing."""

from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from testbed.moving_pictures import HEIGHT, WIDTH, Picture


class Face(StrEnum):
    """How a worker draws text."""

    RIGHT = "right"
    """With the font that was meant."""
    OTHER = "other"
    """With another font."""
    BOXES = "boxes"
    """A box for each letter: the font has none of them."""
    NONE = "none"
    """Not at all."""


_NO_LETTER = 0xE000
"""Of Unicode's private area: no font has its letters, and draws boxes for them."""


@cache
def text_mask(words: str, *, size: int, left: int, top: int, face: Face = Face.RIGHT) -> NDArray[np.float32]:
    """How much text covers each pixel, 0 to 1, in the shape (height, width, 1)."""
    image = Image.new("L", (WIDTH, HEIGHT))
    drawing = ImageDraw.Draw(image)
    if face is Face.OTHER:
        # A bitmap font of 11 pixels, enlarged, as a desktop that finds no outline font does.
        small = Image.new("L", (WIDTH, HEIGHT))
        ImageDraw.Draw(small).multiline_text((0, 0), words, fill=255, font=ImageFont.load_default_imagefont())
        factor = size / 13
        large = small.resize((round(WIDTH * factor), round(HEIGHT * factor)), Image.Resampling.NEAREST)
        image.paste(large, (left, top))
    elif face is not Face.NONE:
        shown = words if face is Face.RIGHT else "".join(
            letter if letter.isspace() else chr(_NO_LETTER + ord(letter) % 256) for letter in words
        )  # fmt: skip
        drawing.multiline_text((left, top), shown, fill=255, font=ImageFont.load_default(size))
    return np.asarray(image, dtype=np.float32)[:, :, None] / np.float32(255)


def write_on(picture: Picture, mask: NDArray[np.float32], colour: tuple[int, int, int]) -> Picture:
    """The picture with text on it."""
    return picture * (1 - mask) + np.array(colour, dtype=np.float32) * mask
