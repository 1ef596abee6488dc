"""Jobs of varied content as real files, good ones and bad ones, to choose and test the limits of picture checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

Picture = NDArray[np.float64]
"""Shape (height, width, 3), RGB, 0 to 255."""
WIDTH, HEIGHT = 320, 180
CHUNK_FRAMES, CHUNKS = 30, 5
_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
_TEXTURE = np.random.default_rng(7).integers(0, 256, (45, 80, 3)).repeat(4, 0).repeat(4, 1).astype(np.float64)


def waves(n: int, *, speed: float = 0.15, seed: int = 0) -> Picture:
    """Soft waves that drift over the whole picture."""
    phases = [0.0 + seed, 2.0 + seed, 4.0 + seed]
    planes = [127 + 90 * np.sin(_X / 40 + phase + n * speed) * np.cos(_Y / 35 - phase / 2 + n * speed / 3)
              for phase in phases]  # fmt: skip
    return np.stack(planes, axis=2)


def pan(n: int, *, pixels: float = 3.0) -> Picture:
    """A camera that pans over a textured picture, which the bars of its blocks make hard to encode."""
    return np.roll(_TEXTURE, round(n * pixels), axis=1)


def ball(n: int, *, radius: float = 20.0, speed: float = 4.0) -> Picture:
    """A small ball that crosses a dark gradient and bounces off its sides."""
    span = WIDTH - 2 * radius
    x = radius + abs((n * speed) % (2 * span) - span)
    picture = np.repeat((20 + _Y / 4)[:, :, None], 3, axis=2)
    picture[(_X - x) ** 2 + (_Y - HEIGHT / 2 - 30 * np.sin(n / 9)) ** 2 < radius**2] = (240, 160, 40)
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


def fade(picture: Picture, n: int, *, begin: int, length: int) -> Picture:
    """Black from `begin` on for half the length, after a fade; then back."""
    distance = abs(n - begin - length / 2) / (length / 2)
    return picture * min(1.0, max(0.0, 2 * distance - 1.0) if distance < 1 else 1.0)


@dataclass(frozen=True)
class Look:
    """How a job's chunks are encoded."""

    fps: int = 30
    options: Mapping[str, str] = field(default_factory=lambda: {"preset": "veryfast", "crf": "23"})
    codec: str = "libx264"


@dataclass(frozen=True)
class MovingJob:
    """One job: which picture each frame shows, by the frame's number."""

    paint: Callable[[int], Picture]
    look: Look = Look()
    sizes: Sequence[int] = (CHUNK_FRAMES,) * CHUNKS

    def chunks(self) -> list[list[Picture]]:
        """The pictures of each chunk."""
        first, found = 0, []
        for size in self.sizes:
            found.append([self.paint(n) for n in range(first, first + size)])
            first += size
        return found


def write_pictures(path: Path, pictures: Sequence[Picture], look: Look) -> Path:
    """Encode pictures as one file."""
    with av.open(str(path), "w") as output:
        video = output.add_stream(look.codec, rate=look.fps, options=dict(look.options))
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, look.fps)
        video.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, look.fps)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


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
    "a short scene as long as a chunk": MovingJob(lambda n: pan(n) if n // CHUNK_FRAMES == 2 else waves(n)),
    "brightness that pulses": MovingJob(lambda n: waves(n) * (0.7 + 0.3 * np.sin(n / 7))),
    "chunks of one frame": MovingJob(waves, sizes=(1,) * 12),
    "chunks of two and three frames": MovingJob(lambda n: pan(n, pixels=5), sizes=(2, 3, 2, 3, 2, 3)),
}
"""Jobs without any fault."""

Chunks = list[list[Picture]]


def _in_chunk(position: int, change: Callable[[Picture], Picture]) -> Callable[[MovingJob], Chunks]:
    """All pictures of one chunk changed."""

    def make(job: MovingJob) -> Chunks:
        chunks = job.chunks()
        chunks[position] = [change(picture) for picture in chunks[position]]
        return chunks

    return make


def _from(start: Callable[[int, int], int]) -> Callable[[MovingJob], Chunks]:
    """Chunks that begin at another frame: `start` makes it from the chunk's position and its first frame."""

    def make(job: MovingJob) -> Chunks:
        first, found = 0, []
        for position, size in enumerate(job.sizes):
            begin = start(position, first)
            found.append([job.paint(n) for n in range(begin, begin + size)])
            first += size
        return found

    return make


def _inside(begin: int, end: int, change: Callable[[list[Picture], int], Picture]) -> Callable[[MovingJob], Chunks]:
    """Some pictures inside the third chunk changed."""

    def make(job: MovingJob) -> Chunks:
        chunks = job.chunks()
        pictures = list(chunks[2])
        for index in range(begin, end):
            chunks[2][index] = change(pictures, index)
        return chunks

    return make


def _colour(red: float, green: float, blue: float) -> Picture:
    return np.ones((HEIGHT, WIDTH, 3)) * (red, green, blue)


CERTAIN: dict[str, Callable[[MovingJob], Chunks]] = {
    "one frame early": _from(lambda position, first: first - 1 if position == 2 else first),
    "every chunk one frame early": _from(lambda position, first: first - (1 if position else 0)),
    "restart": _from(lambda _position, _first: 0),
    "another chunk": _from(lambda position, first: CHUNK_FRAMES if position == 3 else first),
}
"""Faults that fail a chunk."""
SUSPICIOUS: dict[str, Callable[[MovingJob], Chunks]] = {
    "brighter by 3": _in_chunk(2, lambda picture: picture + 3),
    "gamma": _in_chunk(2, lambda picture: 255 * (np.clip(picture, 0, 255) / 255) ** 0.9),
    "range": _in_chunk(2, lambda picture: picture * 219 / 255 + 16),
    "dimmed": _in_chunk(2, lambda picture: picture * 0.7),
    "black chunk": _in_chunk(2, lambda picture: picture * 0),
    "black inside": _inside(8, 20, lambda pictures, n: pictures[n] * 0),
    "frozen inside": _inside(8, 25, lambda pictures, _n: pictures[7]),
    "one colour inside": _inside(8, 20, lambda _pictures, _n: _colour(0, 140, 60)),
    "flash": _inside(14, 15, lambda pictures, n: pictures[n] * 0.5 + 120),
    "wrong frame": _inside(14, 15, lambda pictures, n: pictures[n][::-1]),
}
"""Faults that are warned of."""
MOVING = ("waves", "waves, high quality", "waves, no B-frames, 24 fps", "pan", "pan, 24 fps, no B-frames", "ball",
          "ball, 60 fps", "grain")  # fmt: skip
"""Good jobs in which the faults are made."""
