"""The renderer: writes frames as images, each under its own number.

python -m examples.turntable FIRST LAST PATTERN     frames FIRST to LAST as PATTERN says, such as frames/ball_####.png
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT, TURN = 320, 180, 48
"""Pixels, and frames of a whole turn."""
LIGHT = np.array([-0.5, -0.6, 0.62])
SAMPLES = 2
"""Of each pixel, across and down."""


def draw(frame: int) -> NDArray[np.uint8]:
    """Draw a frame; shape (height, width, 3), RGB."""
    rows, columns = np.mgrid[0 : HEIGHT * SAMPLES, 0 : WIDTH * SAMPLES] / SAMPLES
    x, y = (columns - WIDTH / 2) / 70, (rows - HEIGHT / 2) / 70
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    longitude = np.arctan2(x, z) + 2 * np.pi * frame / TURN
    is_striped = (np.sin(6 * longitude) * np.cos(5 * np.arcsin(np.clip(y, -1, 1)))) > 0
    light = 0.15 + 0.85 * np.clip(x * LIGHT[0] + y * LIGHT[1] + z * LIGHT[2], 0, None)
    paint = np.where(is_striped[..., None], [240, 120, 40], [30, 60, 140]) * light[..., None]
    scene = np.where((z > 0)[..., None], paint, [18, 20, 26])
    small = scene.reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES, 3).mean(axis=(1, 3))
    picture: NDArray[np.uint8] = small.round().astype(np.uint8)
    return picture


def main(first: int, last: int, pattern: str) -> None:
    """Write a range of frames."""
    start, field = pattern.find("#"), pattern.count("#")
    for frame in range(first, last + 1):
        path = Path(f"{pattern[:start]}{frame:0{field}d}{pattern[start + field :]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(frame)).save(path)
        print(f"frame {frame}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
