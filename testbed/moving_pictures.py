"""Moving pictures as real files: what frames show, and how they are encoded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from helios.encode.priority import same_priority

Picture = NDArray[np.floating | np.uint8]
"""Shape (height, width, 3), RGB, 0 to 255."""
Samples = NDArray[np.int16]
"""Shape (n,): one channel."""
WIDTH, HEIGHT = 320, 180
"""Pixels, as pictures are painted."""
CHUNK_FRAMES, CHUNKS = 30, 5
SAMPLE_RATE = 48_000
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
"""Of each pixel."""


@cache
def texture(seed: int = 7, block: int = 4) -> NDArray[np.float32]:
    """A picture of small blocks, each of a colour of its own."""
    rows, columns = -(-HEIGHT // block), -(-WIDTH // block)
    colours = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3))
    return colours.repeat(block, 0).repeat(block, 1)[:HEIGHT, :WIDTH].astype(np.float32)


def waves(n: float, *, speed: float = 0.15, seed: float = 0) -> Picture:
    """Soft waves that drift over the whole picture."""
    phases = [0.0 + seed, 2.0 + seed, 4.0 + seed]
    planes = [127 + 90 * np.sin(X / 40 + phase + n * speed) * np.cos(Y / 35 - phase / 2 + n * speed / 3)
              for phase in phases]  # fmt: skip
    return np.stack(planes, axis=2)


def pan(n: float, *, pixels: float = 3.0, seed: int = 7, block: int = 4) -> Picture:
    """A camera that pans over a textured picture, which the bars of its blocks make hard to encode."""
    return np.roll(texture(seed, block), round(n * pixels), axis=1)


def ball(n: float, *, radius: float = 20.0, speed: float = 4.0) -> Picture:
    """A small ball that crosses a dark gradient and bounces off its sides."""
    span = WIDTH - 2 * radius
    x = radius + abs((n * speed) % (2 * span) - span)
    picture = np.repeat((20 + Y / 4)[:, :, None], 3, axis=2)
    picture[(X - x) ** 2 + (Y - HEIGHT / 2 - 30 * np.sin(n / 9)) ** 2 < radius**2] = (240, 160, 40)
    return picture


def slide(number: int) -> Picture:
    """A light page with rows of dark text."""
    picture = np.full((HEIGHT, WIDTH, 3), 235.0)
    picture[:24] = (40, 70, 130)
    rng = np.random.default_rng(number)
    for row in range(int(rng.integers(4, 9))):
        width = int(rng.integers(60, 260))
        marks = rng.random(width) < 0.5
        picture[38 + row * 15 : 47 + row * 15, 24 : 24 + width][:, marks] = 30
    return picture


def grain(picture: Picture, n: int, *, amount: float = 12.0) -> Picture:
    """A picture with film grain that differs from frame to frame."""
    return picture + np.random.default_rng(n).normal(0, amount, picture.shape)


def fade(picture: Picture, n: float, *, begin: float, length: float) -> Picture:
    """Black from `begin` on for half the length, after a fade; then back."""
    distance = abs(n - begin - length / 2) / (length / 2)
    return picture * min(1.0, max(0.0, 2 * distance - 1.0) if distance < 1 else 1.0)


@dataclass(frozen=True)
class Look:
    """How a job's chunks are encoded."""

    fps: int = 30
    options: Mapping[str, str] = field(default_factory=lambda: {"preset": "veryfast", "crf": "23"})
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    container: str = "mp4"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    """Pixels. Pictures of another size are scaled to it."""


@dataclass(frozen=True)
class MovingJob:
    """One job: which picture each frame shows, by the frame's number, which may be below 0; and its sound."""

    paint: Callable[[int], Picture]
    look: Look = Look()
    sizes: Sequence[int] = (CHUNK_FRAMES,) * CHUNKS
    sound: Callable[[int], NDArray[np.float64]] | None = None
    """Makes this many samples, -1 to 1, at `SAMPLE_RATE`; none for jobs without sound."""
    name: str = ""

    @property
    def frames(self) -> int:
        """All frames."""
        return sum(self.sizes)

    @property
    def starts(self) -> list[int]:
        """The first frame of each chunk."""
        return [sum(self.sizes[:position]) for position in range(len(self.sizes))]

    def chunks(self) -> list[list[Picture]]:
        """The pictures of each chunk."""
        return [self.pictures(first, size) for first, size in zip(self.starts, self.sizes, strict=True)]

    def pictures(self, first: int, count: int) -> list[Picture]:
        """The pictures of frames `[first, first + count)`, as whole numbers."""
        return [to_bytes(self.paint(n)) for n in range(first, first + count)]

    def sample_at(self, frame: int) -> int:
        """The sample at which a frame begins."""
        return round(frame * SAMPLE_RATE / self.look.fps)

    def samples(self) -> Samples | None:
        """The sound of the whole job."""
        if self.sound is None:
            return None
        return to_samples(self.sound(self.sample_at(self.frames)))


def to_bytes(picture: Picture) -> NDArray[np.uint8]:
    """A picture in whole numbers."""
    return np.asarray(picture if picture.dtype == np.uint8 else np.clip(picture, 0, 255), dtype=np.uint8)


def to_samples(sound: NDArray[np.float64]) -> Samples:
    """Sound of -1 to 1 as 16-bit samples."""
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


def write_pictures(path: Path, pictures: Sequence[Picture], look: Look, *, samples: Samples | None = None) -> Path:
    """Encode pictures as one file, with uncompressed sound if there is any."""
    with same_priority(), av.open(str(path), "w") as output:
        video = output.add_stream(look.codec, rate=look.fps, options=dict(look.options))
        assert isinstance(video, VideoStream)
        video.width, video.height = look.size
        video.pix_fmt = look.pixel_format
        video.codec_context.time_base = Fraction(1, look.fps)
        video.codec_context.thread_count = 1
        sound = None if samples is None else output.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(to_bytes(picture), format="rgb24")
            if look.size != (frame.width, frame.height):
                frame = frame.reformat(*look.size, format=look.pixel_format, interpolation="BILINEAR")
            frame.pts, frame.time_base = index, Fraction(1, look.fps)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None and samples is not None:
            assert isinstance(sound, AudioStream)
            audio = AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
            audio.sample_rate, audio.pts = SAMPLE_RATE, 0
            output.mux(sound.encode(audio))
            output.mux(sound.encode(None))
    return path
