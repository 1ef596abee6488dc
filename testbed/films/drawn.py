"""Good films drawn from a seed: scenes, cuts, fades, titles, grain, in several codecs, rates and sizes."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np

from testbed.films.sound import draw_sound
from testbed.films.text import Face, text_mask, write_on
from testbed.moving_pictures import (
    HEIGHT,
    WIDTH,
    Look,
    MovingJob,
    Picture,
    X,
    Y,
    ball,
    fade,
    grain,
    pan,
    slide,
    texture,
    waves,
)

Paint = Callable[[int], Picture]
FacedPaint = Callable[[int, Face], Picture]
Effect = Callable[[Random, Paint, int], tuple[str, Paint]]
WORDS = ("Annual report", "Episode three", "Tides of the north", "Now playing", "Thank you",
         "The quick brown fox\njumps over it", "Revenue by region", "Chapter 12", "Made with care")  # fmt: skip

os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 tells of itself at length

X264 = {"preset": "veryfast", "threads": "1"}
FLAVOURS: tuple[tuple[str, float, str, str, str], ...] = (
    ("libx264", 0.45, "yuv420p", "mp4", "mov"),
    ("libx265", 0.15, "yuv420p", "mp4", "mov"),
    ("libvpx-vp9", 0.13, "yuv420p", "webm", "mkv"),
    ("libsvtav1", 0.12, "yuv420p", "mp4", "mkv"),
    ("prores_ks", 0.15, "yuv422p10le", "mov", "mov"),
)
"""Encoder, share, pixel format, container without sound, and with it."""


@dataclass(frozen=True)
class DrawnFilm(MovingJob):
    """A film drawn from a seed."""

    seed: int = 0
    faced: FacedPaint | None = None
    """Paints it with the text of another font; none for films without text."""
    is_steady: bool = True
    """Whether it moves steadily, with a cut here and there at most: no slides, pauses, shaking, flashes, or a cut at
    every seam."""


def draw_look(dice: Random, *, has_sound: bool, codec: str | None = None) -> Look:
    """Codec, rate, size and quality.

    Of SVT-AV1 the presets 12 and 13 are left out: they write streams that no decoder takes (a cut in the last frames).
    """
    flavours = [each for each in FLAVOURS if codec in (None, each[0])]
    name, _, pixel_format, silent, sounding = dice.choices(flavours, [each[1] for each in flavours])[0]
    fps = dice.choice([24, 25, 30, 30, 30, 50, 60])
    size = dice.choice([(WIDTH, HEIGHT)] * 8 + [(640, 360), (256, 256), (180, 320)])
    crf = dice.choice([14, 18, 23, 23, 28, 34])
    options = {
        "libx264": {**X264, "crf": f"{crf}", "bf": dice.choice(["0", "0", "2", "3"])},
        "libx265": {"preset": "ultrafast", "crf": f"{crf}", "x265-params": "log-level=none:pools=none:frame-threads=1:"
                    f"bframes={dice.choice([0, 0, 3])}:hash={dice.choice([0, 0, 1])}"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": f"{crf + 8}", "b": "0"},
        "libsvtav1": {"preset": "10", "crf": f"{crf + 10}", "svtav1-params": "lp=1"},
        "prores_ks": {"profile": dice.choice(["0", "2", "3"])},
    }[name]  # fmt: skip
    return Look(fps, options, name, pixel_format, sounding if has_sound else silent, size)


def draw_film(seed: int, *, codec: str | None = None) -> DrawnFilm:
    """The film of a seed.

    Args:
        seed: Of everything in it.
        codec: The encoder's name; drawn when empty.
    """
    dice = Random(f"film {seed}")  # noqa: S311  not for secrets
    has_sound = dice.random() < 0.4
    look = draw_look(dice, has_sound=has_sound, codec=codec)
    size = dice.randint(24, 30)
    sizes = [size] * dice.choice([4, 5, 5])
    if dice.random() < 0.2:
        sizes[-1] = dice.randint(size // 2, size)
    name, texts, faced, is_steady = _story(dice, sizes)
    sound = draw_sound(dice) if has_sound else None
    return DrawnFilm(
        paint=lambda n: faced(n, Face.RIGHT),
        look=look,
        sizes=tuple(sizes),
        sound=sound,
        name=name,
        seed=seed,
        faced=texts,
        is_steady=is_steady,
    )


def _story(dice: Random, sizes: list[int]) -> tuple[str, FacedPaint | None, FacedPaint, bool]:
    """What is seen in words, as a function if text is, and as a function; and whether it moves steadily."""
    scenes = [_scene(dice)]
    total, cuts = sum(sizes), []
    way = dice.choices(["one", "random", "one seam", "every seam", "every second seam", "many"],
                       [70, 17, 4, 3, 2, 4])[0]  # fmt: skip
    seams = [sum(sizes[:position]) for position in range(1, len(sizes))]
    if way == "random":
        cuts = sorted(dice.sample(range(5, total - 5, 7), dice.randint(1, 3)))
    elif way == "many":
        cuts = list(range(dice.randint(5, 11), total, dice.randint(9, 20)))
    elif way != "one":
        cuts = {"one seam": [dice.choice(seams)], "every seam": seams, "every second seam": seams[1::2]}[way]
    scenes += [_scene(dice) for _ in cuts[:4]]
    base = scenes[0][1] if not cuts else _cut([paint for _, paint, _ in scenes], cuts)
    is_steady = all(steady for _, _, steady in scenes) and way in ("one", "random", "one seam")
    name = " | ".join(scene for scene, _, _ in scenes) + (f", cuts: {way}" if cuts else "")
    effects: tuple[tuple[float, Effect], ...] = (
        (0.15, _fades), (0.06, _flashes), (0.06, _pauses), (0.08, _pulse), (0.12, _still_parts)
    )  # fmt: skip
    for odds, more in effects:
        if dice.random() < odds:
            words, base = more(dice, base, total)
            name += f", {words}"
            is_steady = is_steady and more not in (_flashes, _pauses)
    if has_text := dice.random() < 0.4:
        words, faced = _titled(dice, base, total)
        name += f", {words}"
    else:
        faced = _unfaced(base)
    if dice.random() < 0.18:
        amount = dice.choice([4.0, 10.0, 20.0])
        name += f", grain {amount:.0f}"
        faced = _grained(faced, amount)
    return name, faced if has_text else None, faced, is_steady


def _scene(dice: Random) -> tuple[str, Paint, bool]:
    """One scene that goes on for ever: its name, its pictures, and whether it moves steadily."""
    seed, speed = dice.randrange(1000), dice.choice([0.05, 0.1, 0.15, 0.15, 0.3, 0.6])
    pixels, block = dice.choice([0.5, 1, 1.5, 2, 3, 5, 7]), dice.choice([4, 8, 16, 40])
    shake = dice.randrange(3, 40)
    scenes: list[tuple[float, str, Paint, bool]] = [
        (4, f"waves {speed}", lambda n: waves(n, speed=speed, seed=seed), True),
        (4, f"pan {pixels} over {block}", lambda n: _rolled(texture(seed, block), n * pixels, axis=1), True),
        (2, f"zoom {speed}", lambda n: _zoom(n, seed=seed, speed=speed), True),
        (2, f"turning light {speed}", lambda n: _light(n, speed=speed, seed=seed), True),
        (2, f"scrolling page {pixels}", lambda n: _rolled(_long_page(seed), -n * pixels, axis=0)[:HEIGHT], True),
        (2, f"chart {speed}", lambda n: _chart(n, seed=seed, speed=speed), True),
        (1, f"dots {pixels}", lambda n: _dots(n, seed=seed, pixels=pixels), True),
        (1, f"ball {speed * 30:.1f}", lambda n: ball(n, radius=8 + shake, speed=speed * 30), False),
        (0.7, f"shaking {shake}", lambda n: np.roll(pan(n, pixels=1, seed=seed, block=16), (n * 7919) % shake, axis=0),
         False),
        (1, f"slides of {20 + shake}", lambda n: slide((n + 1000 * (20 + shake)) // (20 + shake) + seed), False),
        (1, "one slide", lambda _n: slide(seed), False),
        (0.7, "12 pictures a second", lambda n: waves(n * 2 // 5, speed=speed, seed=seed), False),
        (0.7, "every frame twice", lambda n: pan(n // 2, pixels=pixels + 1, seed=seed, block=8), False),
    ]  # fmt: skip
    _, name, paint, is_steady = dice.choices(scenes, [each[0] for each in scenes])[0]
    return name, paint, is_steady


def _rolled(picture: Picture, pixels: float, *, axis: int) -> Picture:
    """A picture that is shifted round, also by parts of a pixel."""
    whole = math.floor(pixels)
    part = np.float32(pixels - whole)
    near = np.roll(picture, whole, axis=axis)
    return near if part == 0 else near * (1 - part) + np.roll(picture, whole + 1, axis=axis) * part


def _dots(n: int, *, seed: int, pixels: float) -> Picture:
    rng = np.random.default_rng(seed)
    x, y, way = rng.uniform(0, WIDTH, 60), rng.uniform(0, HEIGHT, 60), rng.uniform(0, 2 * np.pi, 60)
    picture = np.repeat((90 - Y / 3)[:, :, None], 3, axis=2)
    left, top = (x + n * pixels * np.cos(way)) % (WIDTH - 10), (y + n * pixels * np.sin(way)) % (HEIGHT - 10)
    grid = np.arange(9)
    for column, row, colour in zip(left, top, rng.uniform(60, 255, (60, 3)), strict=True):
        across, down = (np.clip(3.5 - np.abs(grid - 4 - place % 1), 0, 1) for place in (column, row))
        part = picture[int(row) : int(row) + 9, int(column) : int(column) + 9]
        part += (colour - part) * (down[:, None] * across)[:, :, None]
    return picture


def _zoom(n: int, *, seed: int, speed: float) -> Picture:
    factor = 1.5 + 0.4 * np.sin(n * speed / 5 + seed)
    picture = texture(seed, 16)
    for axis, length in ((0, HEIGHT), (1, WIDTH)):
        places = (np.arange(length) - length / 2) / factor + length / 2
        low = places.astype(int)
        part = (places - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        picture = np.take(picture, low, axis) * (1 - part) + np.take(picture, low + 1, axis, mode="clip") * part
    return picture


def _chart(n: int, *, seed: int, speed: float) -> Picture:
    picture = np.full((HEIGHT, WIDTH, 3), 245.0)
    for bar in range(8):
        top = HEIGHT - 80 - 60 * np.sin(n * speed / 2 + bar * 1.3 + seed)
        cover = np.clip(np.arange(HEIGHT) - top, 0, 1)[:, None, None] * (np.arange(HEIGHT) < HEIGHT - 10)[:, None, None]
        part = picture[:, 20 + bar * 36 : 46 + bar * 36]
        part += (np.array((60, 90 + bar * 15, 200)) - part) * cover
    return picture


def _light(n: int, *, speed: float, seed: int) -> Picture:
    angle = n * speed / 3 + seed
    shine = np.exp(-((X - WIDTH / 2 - 90 * np.cos(angle)) ** 2 + (Y - HEIGHT / 2 - 50 * np.sin(angle)) ** 2) / 2500)
    return np.asarray(texture(seed, 20) * (0.2 + 0.7 * shine[:, :, None]), dtype=np.float32)


@cache
def _long_page(seed: int) -> Picture:
    return np.concatenate([slide(number).astype(np.float32) for number in range(seed, seed + 3)])


def _cut(scenes: list[Paint], cuts: list[int]) -> Paint:
    return lambda n: scenes[sum(n >= cut for cut in cuts) % len(scenes)](n)


def _unfaced(base: Paint) -> FacedPaint:
    return lambda n, _face: base(n)


def _grained(base: FacedPaint, amount: float) -> FacedPaint:
    return lambda n, face: grain(base(n, face), n + 100_000, amount=amount)


def _fades(dice: Random, base: Paint, total: int) -> tuple[str, Paint]:
    length = dice.choice([12, 20, 30, 40])
    begins: list[float] = dice.choice([[-length / 2], [total - length / 2], [-length / 2, total - length / 2],
                          [dice.randrange(0, total - length)]])  # fmt: skip

    def faded(n: int) -> Picture:
        picture = base(n)
        for begin in begins:
            picture = fade(picture, n, begin=begin, length=length)
        return picture

    return f"fades of {length}", faded


def _flashes(dice: Random, base: Paint, total: int) -> tuple[str, Paint]:
    when = set(range(dice.randint(0, 9), total, dice.randint(11, 30)))
    return "flashes", lambda n: base(n) * 0.4 + (150 if n in when else 0)


def _pauses(dice: Random, base: Paint, total: int) -> tuple[str, Paint]:
    begin, length = dice.randrange(0, total), dice.randint(8, 60)
    return f"a pause of {length}", lambda n: base(n if n < begin else max(begin, n - length))


def _pulse(dice: Random, base: Paint, _total: int) -> tuple[str, Paint]:
    rate, depth = dice.uniform(0.05, 0.5), dice.uniform(0.05, 0.3)
    return "pulsing light", lambda n: base(n) * (1 - depth + depth * np.sin(n * rate))


def _still_parts(dice: Random, base: Paint, _total: int) -> tuple[str, Paint]:
    rows = dice.choice([12, 22, 40])
    is_bars = dice.random() < 0.5

    def framed(n: int) -> Picture:
        picture = np.array(base(n), dtype=np.float32)
        picture[-rows:] = 0 if is_bars else (30, 60, 90)
        if is_bars:
            picture[:rows] = 0
        return picture

    return "bars" if is_bars else "a still strip", framed


def _titled(dice: Random, base: Paint, total: int) -> tuple[str, FacedPaint]:
    words, size = dice.choice(WORDS), dice.choice([14, 20, 28, 40])
    left, top, colour = dice.randrange(5, 90), dice.randrange(5, 110), dice.choice([(255, 255, 255), (20, 20, 20)])
    way = dice.choice(["a title", "a title", "a caption", "a clock", "a moving title"])
    begin = dice.randrange(0, total // 2)
    end = begin + dice.randrange(total // 4, total)

    def titled(n: int, face: Face) -> Picture:
        picture = base(n)
        if way == "a caption" and not begin <= n < end:
            return picture
        shown = f"{(n + 3600) // 10:05d}" if way == "a clock" else words
        mask = text_mask(shown, size=size, left=left, top=top, face=face)
        if way == "a moving title":
            mask = np.roll(mask, n * 2, axis=1)
        return write_on(picture, mask, colour)

    return way, titled
