"""The orrery's sound: a soft chord that never pauses, and a bell whenever a planet passes in front."""

import numpy as np
from numpy.typing import NDArray

from examples.orrery import FPS, FRAMES
from examples.orrery.scene import PLANETS

RATE = 48_000
SECONDS = FRAMES / FPS
CHORD = (110.0, 164.81, 220.0, 277.18, 329.63)
"""A2, E3, A3, C sharp 4, E4, in Hz."""
BELLS = (880.0, 739.99, 659.26, 554.37, 440.0, 329.63)
"""One for each planet, in Hz: A major pentatonic, from high to low."""


def compose() -> NDArray[np.int16]:
    """Compose ten seconds of stereo; shape (480000, 2)."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    sound = np.zeros((len(time), 2))
    for voice, pitch in enumerate(CHORD):
        swell = 0.75 + 0.25 * np.sin(2 * np.pi * (0.1 * (voice + 1) * time + voice / 5))
        tone = np.sin(2 * np.pi * pitch * time) + 0.3 * np.sin(4 * np.pi * pitch * time)
        side = voice / (len(CHORD) - 1)
        sound += (tone * swell * 0.06)[:, None] * [1 - 0.6 * side, 0.4 + 0.6 * side]
    for (_, turns, phase, _, _), pitch in zip(PLANETS, BELLS, strict=True):
        for turn in range(turns + 1):
            start = (turn + 0.25 - phase) / turns * SECONDS
            if 0 <= start < SECONDS:
                sound += _bell(time - start, pitch)[:, None]
    fade = np.clip(np.minimum(time / 0.05, (SECONDS - time) / 0.4), 0, 1)
    samples: NDArray[np.int16] = (np.tanh(sound * fade[:, None]) * 32_000).astype(np.int16)
    return samples


def _bell(time: NDArray[np.float64], pitch: float) -> NDArray[np.float64]:
    """A struck bell, silent before its beginning."""
    after = np.maximum(time, 0)
    tone = np.sin(2 * np.pi * pitch * after) + 0.4 * np.sin(2 * np.pi * 2.756 * pitch * after)
    return np.where(time >= 0, 0.16 * tone * np.exp(-3 * after) * (1 - np.exp(-200 * after)), 0)
