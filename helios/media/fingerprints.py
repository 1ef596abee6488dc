"""Take a small fingerprint of each picture while a chunk is decoded. No picture is kept.

A fingerprint has the means of 8×8 blocks of luma, and of 4×4 blocks of each chroma plane: 96 numbers of 16 bits, of
which a level of an 8-bit picture is 256. FFmpeg's scaler makes them in C (measured: within 0.03 levels of the exact
means up to 1080p, and 0.4 at 2160p). With 8-bit results it rounds in between, and is off by up to 1.8.
"""

from __future__ import annotations  # array.array is generic in its stubs alone

import math
import sys
from array import array
from collections import deque

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from helios.media.motion import MotionTaker
from helios.media.numbers import GRID, LEVEL, LUMA, Numbers, distance, pack, shifts
from helios.models.pictures import ChunkPictures, Flash, Steps, Stretch
from helios.models.sound import ChunkSound

EDGE = 3
"""Frames at each end of a chunk whose fingerprints are kept."""
STILL_STEP = 0.1
"""Levels. Frames that differ less from the frame before are still. Encoded, still pictures differ by up to 0.04 from
frame to frame (x264, veryfast, crf 12 to 42); waves that drift by a pixel per frame by 4."""
BLACK_LUMA = 20.0
"""Levels; black is 16. The brightest block of a black frame stays below."""
PLAIN_SPREAD = 0.5
"""Levels. Blocks of a frame of one colour differ less from their mean."""
TRIMMED = 2
"""Largest and smallest steps that what is usual leaves out."""
DIGITS = 4
"""Decimal places of differences in what is kept."""


def fingerprint(picture: VideoFrame, reformatter: VideoReformatter) -> array[int]:
    """The numbers that stand for a picture."""
    return _numbers(reformatter.reformat(picture, GRID, GRID, "yuv420p16le", interpolation="AREA"))


class PictureTaker:
    """Takes the pictures of one chunk, in the order in which they are shown."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._count = 0
        self._first: list[array[int]] = []
        self._last: deque[array[int]] = deque(maxlen=EDGE)
        self._steps = _Steps()
        self._motion = MotionTaker()
        self._flash: Flash | None = None
        self._frozen, self._black, self._plain = _Run(), _Run(), _Run()

    def take(self, picture: VideoFrame) -> None:
        """Look at the next picture."""
        self.add(fingerprint(picture, self._reformatter))

    def add(self, now: array[int]) -> None:
        """Look at the next picture's fingerprint."""
        index, self._count = self._count, self._count + 1
        step = self._steps.add(self._last[-1], now) if self._last else None
        if len(self._last) > 1:
            self._note_flash(index - 1, self._last[-2], self._last[-1], now)
        luma = now[:LUMA]
        is_black = max(luma) < BLACK_LUMA * LEVEL
        self._black.note(index, step, is_black)
        self._plain.note(index, step, not is_black and _spread(luma) < PLAIN_SPREAD)
        self._frozen.note(index, step, step is not None and step < STILL_STEP)
        self._motion.add(now)
        if len(self._first) < EDGE:
            self._first.append(now)
        self._last.append(now)

    def result(self, sound: ChunkSound | None = None) -> ChunkPictures:
        """What stays of the pictures that were taken, of which there is at least one.

        Args:
            sound: What stays of the sound beside them.
        """
        return ChunkPictures(
            first=tuple(map(pack, self._first)),
            last=tuple(map(pack, self._last)),
            steps=self._steps.result(),
            frozen=self._frozen.result(),
            black=self._black.result(),
            plain=self._plain.result(),
            flash=self._flash,
            spark=self._motion.spark(),
            uneven=self._motion.uneven(),
            held=self._motion.held(),
            rough=self._motion.rough(),
            sound=sound,
        )

    def _note_flash(self, index: int, before: Numbers, frame: Numbers, after: Numbers) -> None:
        height, gap = min(distance(before, frame), distance(frame, after)), distance(before, after)
        if height > gap and (self._flash is None or height - gap > self._flash.height - self._flash.gap):
            self._flash = Flash(frame=index, height=round(height, DIGITS), gap=round(gap, DIGITS))


class _Steps:
    """Statistics of differences, as they come."""

    def __init__(self) -> None:
        self._count, self._sum, self._smallest, self._largest = 0, 0.0, math.inf, 0.0
        self._shift = self._colour_shift = 0.0
        self._least: list[float] = []
        self._most: list[float] = []

    def add(self, before: Numbers, now: Numbers) -> float:
        step, (shift, colour_shift) = distance(before, now), shifts(before, now)
        self._count += 1
        self._sum += step
        self._least = sorted((*self._least, step))[:TRIMMED]
        self._most = sorted((*self._most, step))[-TRIMMED - 1 :]
        self._smallest, self._largest = min(self._smallest, step), max(self._largest, step)
        self._shift = max(self._shift, abs(shift))
        self._colour_shift = max(self._colour_shift, abs(colour_shift))
        return step

    def result(self) -> Steps | None:
        if not self._count:
            return None
        rest, usual = self._count - 2 * TRIMMED, None
        if rest > 1:
            usual = round(max(self._sum - sum(self._least) - sum(self._most[1:]), 0) / rest, DIGITS)
        return Steps(
            smallest=round(self._smallest, DIGITS),
            largest=round(self._largest, DIGITS),
            mean=round(self._sum / self._count, DIGITS),
            shift=round(self._shift, DIGITS),
            colour_shift=round(self._colour_shift, DIGITS),
            third=round(self._most[0], DIGITS) if usual is not None else None,
            usual=usual,
        )


class _Run:
    """The longest stretch of frames for which something holds."""

    def __init__(self) -> None:
        self._longest = Stretch()
        self._now: Stretch | None = None
        self._step: float | None = None
        self._has_ended = False

    def note(self, index: int, step: float | None, holds: bool) -> None:
        step = None if step is None else round(step, DIGITS)
        if holds:
            now = self._now or Stretch(start=index, entry=step, before=self._step)
            self._now = now.model_copy(update={"frames": now.frames + 1})
            if self._now.frames > self._longest.frames:
                self._longest, self._has_ended = self._now, False
        elif self._now is not None:
            if self._now is self._longest:
                self._longest, self._has_ended = self._longest.model_copy(update={"exit": step}), True
            self._now = None
        elif self._has_ended:
            self._longest, self._has_ended = self._longest.model_copy(update={"after": step}), False
        self._step = step

    def result(self) -> Stretch:
        return self._longest


def _spread(luma: Numbers) -> float:
    """The largest difference of a block from the mean, in levels."""
    mean = sum(luma) / len(luma)
    return max(max(luma) - mean, mean - min(luma)) / LEVEL


def _numbers(small: VideoFrame) -> array[int]:
    """The numbers in a picture's planes, without the padding of their lines."""
    numbers = array("H")
    for plane, side in zip(small.planes, (GRID, GRID // 2, GRID // 2), strict=True):
        data, line = bytes(plane), plane.line_size
        for row in range(side):
            numbers.frombytes(data[row * line : row * line + 2 * side])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
