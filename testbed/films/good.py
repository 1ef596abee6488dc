"""Good jobs by name: each has something that a check of pictures might take for a fault."""

import numpy as np

from testbed.films.drawn import draw_film
from testbed.moving_pictures import (
    CHUNK_FRAMES,
    HEIGHT,
    WIDTH,
    Look,
    MovingJob,
    ball,
    fade,
    grain,
    pan,
    slide,
    waves,
)


def _x264(crf: int, *, bf: int = 3, preset: str = "veryfast", **more: str) -> dict[str, str]:
    return {"preset": preset, "crf": str(crf), "bf": str(bf), **more}


_BETWEEN = CHUNK_FRAMES * 2
"""A frame at which a chunk begins."""

GOOD: dict[str, MovingJob] = {
    "waves": MovingJob(waves),
    "waves, low quality": MovingJob(waves, Look(options=_x264(40))),
    "waves, high quality": MovingJob(waves, Look(options=_x264(12))),
    "waves, no B-frames, 24 fps": MovingJob(waves, Look(24, _x264(28, bf=0))),
    "waves, slow, 60 fps": MovingJob(lambda n: waves(n, speed=0.01), Look(60)),
    "waves, very slow, low quality": MovingJob(lambda n: waves(n, speed=0.002), Look(60, _x264(38))),
    "waves, fast": MovingJob(lambda n: waves(n, speed=0.8), Look(24)),
    "pan": MovingJob(pan, Look(options=_x264(30))),
    "pan, 24 fps, no B-frames": MovingJob(lambda n: pan(n, pixels=7), Look(24, _x264(26, bf=0))),
    "pan, starved": MovingJob(pan, Look(options={"preset": "ultrafast", "crf": "45"})),
    "ball": MovingJob(ball),
    "ball, tiny": MovingJob(lambda n: ball(n, radius=4), Look(options=_x264(32))),
    "ball, 60 fps": MovingJob(lambda n: ball(n, speed=2), Look(60, _x264(20, bf=2))),
    "slides that change at seams": MovingJob(lambda n: slide(n // CHUNK_FRAMES)),
    "slides that change inside chunks": MovingJob(lambda n: slide((n + 11) // 45)),
    "one slide": MovingJob(lambda _n: slide(1)),
    "one slide, low quality": MovingJob(lambda _n: slide(1), Look(options=_x264(42))),
    "black": MovingJob(lambda _n: np.zeros((HEIGHT, WIDTH, 3))),
    "a title card, then motion": MovingJob(lambda n: slide(3) if n < 47 else waves(n)),
    "a title card up to a seam, then motion": MovingJob(lambda n: slide(3) if n < _BETWEEN else waves(n)),
    "cuts at seams": MovingJob(lambda n: waves(n, seed=n // CHUNK_FRAMES)),
    "a cut at one seam": MovingJob(lambda n: waves(n) if n < _BETWEEN else pan(n)),
    "cuts everywhere": MovingJob(lambda n: waves(n, seed=n // 11)),
    "a fade through black at a seam": MovingJob(lambda n: fade(waves(n), n, begin=50, length=20)),
    "fades inside chunks": MovingJob(lambda n: fade(fade(pan(n), n, begin=5, length=20), n, begin=95, length=24)),
    "black from a fade on": MovingJob(lambda n: waves(n) * max(0.0, 1 - n / 80)),
    "grain": MovingJob(lambda n: grain(waves(n), n)),
    "grain on a still": MovingJob(lambda n: grain(slide(2), n)),
    "heavy grain, low quality": MovingJob(lambda n: grain(ball(n), n, amount=40), Look(options=_x264(36))),
    "flashes": MovingJob(lambda n: waves(n) * 0.3 + (180 if n % 37 == 0 else 0)),
    "flashes at seams": MovingJob(lambda n: waves(n) * 0.3 + (180 if n % CHUNK_FRAMES == 0 else 0)),
    "strobe": MovingJob(lambda n: np.full((HEIGHT, WIDTH, 3), 255.0 * (n % 2))),
    "every frame twice": MovingJob(lambda n: waves(n // 2, speed=0.3), Look(60)),
    "12 fps shown at 30, repeats at seams": MovingJob(lambda n: pan((n + 2) * 12 // 30, pixels=8)),
    "a loop as long as a chunk": MovingJob(lambda n: waves(n, speed=2 * np.pi * 3 / CHUNK_FRAMES)),
    "a short loop that jumps": MovingJob(lambda n: pan(n % 10, pixels=5)),
    "motion that begins and ends": MovingJob(lambda n: pan(max(0, min(n - 40, 70)))),
    "two colour cards": MovingJob(lambda n: np.full((HEIGHT, WIDTH, 3), 40.0 if n < _BETWEEN else 90.0)),
    "lights go out slowly": MovingJob(lambda n: ball(n) * (1 - n / 300)),
    "one fade to black and back inside a chunk": MovingJob(lambda n: fade(pan(n), n, begin=62, length=24)),
    "one quick fade to black and back": MovingJob(lambda n: fade(waves(n), n, begin=64, length=16)),
    "one fade to white and back inside a chunk": MovingJob(
        lambda n: 255 - fade(255 - waves(n), n, begin=62, length=24)
    ),
    "one pause inside a chunk": MovingJob(lambda n: waves(n if n < 68 else max(68, n - 10))),
    "one pause across a seam": MovingJob(lambda n: pan(n if n < 55 else max(55, n - 12))),
    "a camera that shakes": MovingJob(lambda n: np.roll(pan(n, pixels=1), (n * 7919) % 23 - 11, axis=0)),
    "brightness that pulses": MovingJob(lambda n: waves(n) * (0.7 + 0.3 * np.sin(n / 7))),
    "chunks of one frame": MovingJob(waves, sizes=(1,) * 12),
    "chunks of two and three frames": MovingJob(lambda n: pan(n, pixels=5), sizes=(2, 3, 2, 3, 2, 3)),
    "a chart, in which rows of blocks rest": draw_film(63006),
    "a chart that fades in and out": draw_film(64100),
    "a ball that turns round slowly, then a cut": draw_film(64034),
    "a cut, then a ball that turns round slowly": draw_film(64039),
    "a slide that is cut two frames after a seam": draw_film(64046),
    "a caption that begins at a seam of a still slide": draw_film(64140),
    "a cut at a seam to a camera that shakes": draw_film(64147),
    "a zoom with a title, low quality": draw_film(64148),
}
"""Jobs without any fault."""
