"""Draw one frame of the orrery: light is added up in linear color, then mapped to what a screen shows."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from examples.orrery import FPS, FRAMES, HEIGHT, WIDTH, frame_code

Light = NDArray[np.float32]
"""Linear RGB, shape (height, width, 3), 1.0 is white."""

CENTER = (WIDTH / 2, HEIGHT / 2 - 14)
TILT = 0.42
"""Height of an orbit over its width: how flat the orrery lies before us."""
TRAIL = 46
"""Glows that each planet draws behind itself."""
TRAIL_STEP = 6.5
"""Pixels between them."""
# Radius in pixels, turns in ten seconds, phase in turns, size in pixels, color.
PLANETS = (
    (120.0, 5, 0.10, 7.0, (1.00, 0.55, 0.25)),
    (185.0, 4, 0.62, 9.0, (0.35, 0.85, 1.00)),
    (262.0, 3, 0.35, 12.0, (0.45, 1.00, 0.55)),
    (352.0, 2, 0.80, 10.0, (1.00, 0.35, 0.60)),
    (455.0, 1, 0.05, 15.0, (0.75, 0.55, 1.00)),
    (560.0, 1, 0.55, 11.0, (1.00, 0.85, 0.40)),
)


def draw(number: int) -> NDArray[np.uint8]:
    """Draw a frame.

    Args:
        number: The frame, from 0; the scene repeats after ten seconds.

    Returns:
        RGB, shape (720, 1280, 3).
    """
    turn = number / FRAMES
    light = _sky().copy()
    light *= np.float32(0.85 + 0.15 * np.sin(2 * np.pi * (turn * 2 + 0.1)))
    _add_glow(light, *CENTER, 26 + 2 * np.sin(2 * np.pi * number / FPS), (1.0, 0.82, 0.5), 2.6)
    _add_glow(light, *CENTER, 90, (1.0, 0.5, 0.18), 0.14)
    for planet in PLANETS:
        _add_planet(light, turn, *planet)
    image = _to_screen(light)
    _label(image, number)
    frame_code.draw(image, number)
    return image


def _add_planet(
    light: Light, turn: float, radius: float, turns: int, phase: float, size: float, color: tuple[float, float, float]
) -> None:
    for step in range(TRAIL, -1, -1):
        angle = 2 * np.pi * (turns * turn + phase - step * TRAIL_STEP / (2 * np.pi * radius))
        x = CENTER[0] + radius * np.cos(angle)
        depth = np.sin(angle)
        y = CENTER[1] + radius * TILT * depth
        near = 1 + 0.28 * depth
        fade = (1 - step / (TRAIL + 1)) ** 2.2
        if step == 0:
            _add_glow(light, x, y, size * near, color, 2.2)
            _add_glow(light, x, y, size * near * 3.2, color, 0.13)
        else:
            _add_glow(light, x, y, size * near * (0.35 + 0.4 * fade), color, 0.30 * fade)


def _add_glow(
    light: Light, x: float, y: float, radius: float, color: tuple[float, float, float], strength: float
) -> None:
    """Add a Gaussian spot; beyond three radii it is darker than a screen can show."""
    reach = int(3 * radius) + 1
    left, right = max(int(x) - reach, 0), min(int(x) + reach + 1, WIDTH)
    top, bottom = max(int(y) - reach, 0), min(int(y) + reach + 1, HEIGHT)
    if left >= right or top >= bottom:
        return
    across = np.exp(-(((np.arange(left, right) - x) / radius) ** 2)).astype(np.float32)
    down = np.exp(-(((np.arange(top, bottom) - y) / radius) ** 2)).astype(np.float32)
    spot = np.outer(down, across * np.float32(strength))
    light[top:bottom, left:right] += spot[:, :, None] * np.asarray(color, np.float32)


@cache
def _sky() -> Light:
    """Night, stars and the rails of the orbits; the same in every frame."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    away = np.hypot((columns - CENTER[0]) / WIDTH, (rows - CENTER[1]) / HEIGHT)
    light = np.exp(-((away / 0.55) ** 2))[:, :, None] * np.array([0.006, 0.009, 0.028], np.float32)
    light += np.array([0.0010, 0.0013, 0.0045], np.float32)
    random = np.random.default_rng(7)
    for _ in range(420):
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        tint = (0.8 + 0.2 * random.random(), 0.85, 0.8 + 0.2 * random.random())
        _add_glow(light, x, y, random.uniform(0.6, 1.5), tint, 0.9 * random.random() ** 3)
    for radius, *_ in PLANETS:
        distance = np.hypot(columns - CENTER[0], (rows - CENTER[1]) / TILT) - radius
        rail = np.exp(-((distance / 2.2) ** 2)) * (0.6 + 0.4 * (rows - CENTER[1]) / (radius * TILT))
        light += rail[:, :, None] * np.array([0.016, 0.022, 0.045], np.float32)
    sky: Light = light.astype(np.float32)
    return sky


def _to_screen(light: Light) -> NDArray[np.uint8]:
    """Roll highlights off (Reinhard) and encode for a screen (gamma 2.2)."""
    shown = (light * 1.25) / (1 + light)
    image: NDArray[np.uint8] = (np.clip(shown, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
    return image


def _label(image: NDArray[np.uint8], number: int) -> None:
    """Write the frame's number and time, in place."""
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    pen.text((24, HEIGHT - 58), f"{number:04d}", font=_font(34), fill=(232, 236, 250))
    pen.text((118, HEIGHT - 44), f"{number / FPS:6.3f} s", font=_font(17), fill=(140, 150, 185))
    image[:] = np.asarray(canvas)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
