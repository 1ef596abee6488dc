"""Ways in which the sound of one chunk is wrong: each makes its samples anew."""

from collections.abc import Callable

import numpy as np

from testbed.films.bad_pictures import Scene
from testbed.films.drawn import draw_film
from testbed.moving_pictures import SAMPLE_RATE, Samples, to_samples

MakeSound = Callable[[Scene, Samples, int, int], Samples]
"""Of the scene, the whole film's samples, and the chunk's first sample and the one past its last."""
SHIFT = SAMPLE_RATE // 20
"""50 ms."""


def foreign_sound(scene: Scene, _samples: Samples, first: int, end: int) -> Samples:
    """The sound of another film."""
    for seed in range(scene.film.seed + 200_000, scene.film.seed + 200_100):
        other = draw_film(seed)
        if other.sound is not None and np.any(found := to_samples(other.sound(end))):
            return found[first:end]
    raise AssertionError("no film has sound")


def another_chunk(scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """The sound of another chunk of the film."""
    others = [place for place in range(len(scene.film.sizes) - 1) if place != scene.position]
    begin = scene.film.sample_at(scene.film.starts[scene.dice.choice(others)])
    return _at(samples, begin, end - first)


def silent(_scene: Scene, _samples: Samples, first: int, end: int) -> Samples:
    """No sound."""
    return np.zeros(end - first, dtype=np.int16)


def early(_scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """The sound from 50 ms later on: it is heard 50 ms too early."""
    return _at(samples, first + SHIFT, end - first)


def late(_scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """The sound from 50 ms before."""
    return _at(samples, first - SHIFT, end - first)


def padded(_scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """50 ms of silence, then the sound, whose end is missing."""
    return np.concatenate([np.zeros(SHIFT, dtype=np.int16), samples[first : end - SHIFT]])


def louder(_scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """Half as loud again."""
    return np.asarray(np.clip(samples[first:end] * 1.5, -32767, 32767), dtype=np.int16)


def short(_scene: Scene, samples: Samples, first: int, end: int) -> Samples:
    """The last 100 ms are missing."""
    return np.asarray(samples[first : end - 2 * SHIFT], dtype=np.int16)


def _at(samples: Samples, first: int, count: int) -> Samples:
    """Samples from any place, with silence beyond the film's ends."""
    padded = np.concatenate([np.zeros(count, dtype=np.int16), samples, np.zeros(count, dtype=np.int16)])
    return np.asarray(padded[first + count : first + 2 * count], dtype=np.int16)
