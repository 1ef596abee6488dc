"""Take a small part of a chunk's uncompressed sound while it is decoded: its ends, its silences, its loudness."""

from __future__ import annotations  # array.array is generic in its stubs alone

import base64
import math
import sys
from array import array
from collections.abc import Sequence

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from helios.models.sound import ChunkSound

EDGE_SAMPLES = 256
"""Samples at each end of a chunk that are kept: 5 ms at 48 kHz."""
FULL_SCALE = 32_768
QUIET = 3
"""Of 32,768: samples that are not larger are silence (-80 dB)."""


class SoundTaker:
    """Takes the sound of one chunk, in its order.

    Args:
        sample_rate: Samples per second.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._mixer = AudioResampler(format="s16", layout="mono", rate=sample_rate)
        self._count, self._squares = 0, 0.0
        self._first, self._last = array("h"), array("h")
        self._heard_first: int | None = None
        self._heard_last = -1

    def take(self, frame: AudioFrame) -> None:
        """Listen to the next frame, of any format and any number of channels."""
        frame.pts = None  # the times of frames are checked elsewhere; here only their order counts
        for mixed in self._mixer.resample(frame):
            samples = array("h")
            samples.frombytes(bytes(mixed.planes[0])[: 2 * mixed.samples])
            self.add(samples)

    def add(self, samples: Sequence[int]) -> None:
        """Listen to the next samples, of 16 bits."""
        if not samples:
            return
        if len(self._first) < EDGE_SAMPLES:
            self._first.extend(samples[: EDGE_SAMPLES - len(self._first)])
        self._last.extend(samples[-EDGE_SAMPLES:])
        del self._last[:-EDGE_SAMPLES]
        self._squares += math.hypot(*samples) ** 2
        if max(samples) > QUIET or min(samples) < -QUIET:
            if self._heard_first is None:
                self._heard_first = self._count + _first_heard(samples)
            self._heard_last = self._count + len(samples) - 1 - _first_heard(samples[::-1])
        self._count += len(samples)

    def result(self) -> ChunkSound:
        """What stays of it."""
        heard_first = self._count if self._heard_first is None else self._heard_first
        loudness = math.sqrt(self._squares / self._count) / FULL_SCALE if self._count else 0.0
        return ChunkSound(
            sample_rate=self._rate,
            samples=self._count,
            first=_pack(self._first),
            last=_pack(self._last),
            loudness=min(round(loudness, 6), 1.0),
            silent_first=heard_first,
            silent_last=self._count - 1 - self._heard_last,
        )


def unpack_samples(text: str) -> array[int]:
    """The samples of an end.

    Raises:
        ValueError: The text has none.
    """
    samples = array("h")
    samples.frombytes(base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _pack(samples: array[int]) -> str:
    packed = array("h", samples)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()


def _first_heard(samples: Sequence[int]) -> int:
    return next(index for index, sample in enumerate(samples) if not -QUIET <= sample <= QUIET)
