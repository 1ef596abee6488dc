"""What reading a video may take: more than any sound file of its size needs, and less than a machine has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from helios.errors import OutputError

PIXEL_BYTES = 16
"""Of a picture without compression: four numbers, of 32 bits each."""
SECOND_BYTES = 16 * 1024 * 1024
"""Of a second of sound without compression: ten channels of 32 bits at 384 kHz. A second has a frame at least."""
OTHER_BYTES = 256 * 1024 * 1024
"""For headers, covers, attachments."""
OTHER_MEMORY_BYTES = 512 * 1024 * 1024
"""For packets, sound, indexes."""
HELD_PICTURES = 40
"""That decoders hold (16 in H.264), and those that are compared."""

JOINED_FRAME_BYTES = 2048
"""That a muxer keeps of a frame, and of its sound, until its index is written."""
HELD_SECONDS = 12
"""Of pictures that a muxer holds while it waits for their sound."""
BYTES_PER_SECOND = 500_000
"""Of a join, which reads every byte four times and writes it once or twice: less than a disk over a network does."""
MOMENT_SECONDS = 300.0
"""For one frame and a moment of sound."""
PICTURE_SECONDS = 10.0
"""For a picture that people look at, and can do without …"""
SHEET_SECONDS = 30.0
"""… and for one that is made of several."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of reading one file."""

    seconds: float
    """Time: 2 s and more for each frame, on a machine that has other things to do."""
    memory_bytes: int
    """Memory, beside what FFmpeg's libraries take."""
    file_bytes: int
    """Size of the file."""

    def check_size(self, name: str, size: int) -> None:
        """Refuse a file that is larger than its pictures could be, such as a sparse file without end.

        Raises:
            OutputError: It is.
        """
        if size > self.file_bytes:
            raise OutputError(
                f"{name} has {size} bytes; expected at most {self.file_bytes}, which its frames and its sound take "
                "without any compression"
            )


def reading_bounds(*, frames: int, width: int, height: int) -> Bounds:
    """The bounds for a video of so many frames of so many pixels."""
    pixels = width * height
    return Bounds(
        seconds=600 + frames * (2 + 8 * pixels / 1_000_000),
        memory_bytes=OTHER_MEMORY_BYTES + HELD_PICTURES * PIXEL_BYTES * pixels,
        file_bytes=OTHER_BYTES + frames * (PIXEL_BYTES * pixels + SECOND_BYTES),
    )


def joining_bounds(*, frames: int, fps: Fraction, width: int, height: int, sizes: Sequence[int]) -> Bounds:
    """The bounds for joining files of so many bytes into a video of so many frames."""
    total, one = sum(sizes), reading_bounds(frames=1, width=width, height=height)
    waiting = 2 * max(sizes, default=0) + 2 * round(total * min(float(HELD_SECONDS * fps) / max(frames, 1), 1.0))
    return Bounds(
        seconds=600 + frames * 0.1 + total / BYTES_PER_SECOND,
        memory_bytes=one.memory_bytes + frames * JOINED_FRAME_BYTES + waiting,
        file_bytes=total,
    )


def within(seconds: float, *, width: int, height: int) -> Bounds:
    """The bounds for a look at a few frames."""
    return replace(reading_bounds(frames=1, width=width, height=height), seconds=seconds)
