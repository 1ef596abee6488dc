"""Sound of films, as a function of its number of samples; each is drawn from dice."""

from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from testbed.moving_pictures import SAMPLE_RATE

Wave = NDArray[np.float64]
"""Shape (n,), -1 to 1."""


def _time(count: int) -> Wave:
    return np.arange(count) / SAMPLE_RATE


def _noise(seed: int, count: int, *, smooth: int) -> Wave:
    """Noise without its high tones: a running mean, twice."""
    noise = np.random.default_rng(seed).normal(0, 1, count + 2 * smooth)
    window = np.ones(smooth) / smooth
    soft = np.convolve(np.convolve(noise, window, "valid"), window, "valid")[:count]
    return np.asarray(soft / soft.std() * 0.15)


def music(seed: int) -> Callable[[int], Wave]:
    """Chords of a few tones with overtones, a new one every third of a second or so."""

    def make(count: int) -> Wave:
        rng, time, wave = np.random.default_rng(seed), _time(count), np.zeros(count)
        length = float(rng.uniform(0.25, 0.6))
        for begin in np.arange(0, count / SAMPLE_RATE, length):
            since = time - begin
            swell = np.where(since > 0, np.minimum(since / 0.01, 1) * np.exp(-np.maximum(since, 0) / 0.5), 0)
            for tone in rng.choice([110.0, 146.8, 164.8, 196, 220, 246.9, 293.7, 329.6, 440], 3, replace=False):
                for overtone in (1, 2, 3):
                    wave += swell * np.sin(2 * np.pi * tone * overtone * since + overtone) / overtone * 0.08
        return wave

    return make


def speech(seed: int) -> Callable[[int], Wave]:
    """Syllables with pauses between words: a voice's tones and a little hiss, over a quiet room."""

    def make(count: int) -> Wave:
        rng, time = np.random.default_rng(seed), _time(count)
        pitch = 110 + 25 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6))
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        voice = sum(np.sin(phase * part) / part**0.8 for part in range(1, 12)) * 0.1
        swell, at = np.zeros(count), 0.0
        while at < count / SAMPLE_RATE:
            length = float(rng.uniform(0.08, 0.25))
            inside = (time >= at) & (time < at + length)
            swell[inside] = np.sin(np.pi * (time[inside] - at) / length) ** 0.7
            at += length + (float(rng.uniform(0.15, 0.4)) if rng.random() < 0.2 else 0.02)
        return np.asarray(voice * swell + _noise(seed, count, smooth=3) * (0.15 * swell + 0.02))

    return make


def drums(seed: int) -> Callable[[int], Wave]:
    """Beats at a steady rate, with quiet between them."""

    def make(count: int) -> Wave:
        rng, wave, time = np.random.default_rng(seed), np.zeros(count), _time(count)
        hiss = _noise(seed, count, smooth=2)
        beat = 60 / float(rng.choice([90, 100, 120, 128, 140]))
        for begin in np.arange(0, count / SAMPLE_RATE, beat):
            since = np.maximum(time - begin, 0)
            drum = np.sin(2 * np.pi * (55 + 60 * np.exp(-since / 0.03)) * since) * 0.5
            wave += (time >= begin) * np.exp(-since / 0.08) * (drum + hiss * 0.6)
        return wave + _noise(seed + 1, count, smooth=20) * 0.02

    return make


def wind(seed: int) -> Callable[[int], Wave]:
    """Soft noise that swells and falls."""

    def make(count: int) -> Wave:
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * _time(count) + seed)
        return np.asarray(_noise(seed, count, smooth=24) * swell)

    return make


def draw_sound(dice: Random) -> Callable[[int], Wave]:
    """Some sound; one in ten fades in and out, one in twelve is silent throughout."""
    seed = dice.randrange(1_000_000)
    kinds = [music(seed), speech(seed), drums(seed), wind(seed)]
    first, second = dice.choice(kinds), dice.choice(kinds)
    if dice.random() < 1 / 12:
        return lambda count: np.zeros(count)
    loud = dice.uniform(0.3, 1.0)
    is_mixed, fades = dice.random() < 0.3, dice.random() < 0.1

    def make(count: int) -> Wave:
        wave = first(count) + (0.5 * second(count) if is_mixed else 0)
        if fades:
            wave = wave * np.clip(np.minimum(_time(count), _time(count)[::-1]) / 1.0, 0, 1)
        return np.asarray(wave * loud)

    return make
