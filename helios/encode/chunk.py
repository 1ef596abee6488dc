"""Encode one chunk: a range of a source's pictures, into a file that stands for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.codecs import chosen_format
from helios.encode.encoder import ChunkEncoder, EncoderOrder
from helios.encode.filters import FilterChain, filtered_aspect, parse_chain
from helios.encode.pictures import PictureReader
from helios.encode.priority import same_priority
from helios.encode.recipe import Recipe
from helios.encode.sampling import Sampling
from helios.errors import OutputError, RequestError

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Range:
    """Which pictures a chunk has. Time stamps are in the source's ticks."""

    first: int
    """Time stamp of the first picture that is shown."""
    frames: int
    """Number of frames."""
    rate: Fraction
    """Frames per second that the chunk's file states."""
    last: int | None = None
    """Time stamp of the last picture that is shown; compared with what is found."""
    run_in: int | None = None
    """Time stamp of the first picture that filters see; the first one's when None."""
    lead_in: int = 0
    """So many times the encoder is given the first picture before; what it writes of them is dropped."""
    sampling: tuple[int, int] | None = None
    """Where the rate is another one than the source's: time stamp of the source's first picture, and the number of the
    chunk's first frame."""


def encode_chunk(
    source: Path, output: Path, *, part: Range, recipe: Recipe, on_frame: Progress | None = None, is_trial: bool = False
) -> None:
    """Encode a range of pictures.

    Args:
        source: A video.
        output: The chunk's file; its extension tells the container.
        part: Which pictures.
        recipe: How.
        on_frame: Called with the number of frames that the encoder was given.
        is_trial: Whether settings that the encoder would pass over are refused: for this, FFmpeg's log is read.

    Raises:
        RequestError: The source, or the settings, can't be used.
        OutputError: The source is damaged, or does not have these pictures.
    """
    with ExitStack() as opened, same_priority():
        given = opened.enter_context(given_pictures(source, part=part, recipe=recipe))
        how = EncoderOrder(
            recipe, part.rate, pixel_format=given.filters.format, aspect=given.filters.aspect, lead_in=part.lead_in,
            is_trial=is_trial,
        )  # fmt: skip
        encoder = ChunkEncoder(output, how, source=given.stream, like=given.like)
        opened.callback(encoder.close)
        count, last = 0, part.first
        for picture in given.pictures:
            last = picture.pts
            if count == 0:
                encoder.lead_in(picture.frame)
            encoder.encode(picture.frame, at=count)
            count += 1
            if on_frame is not None:
                on_frame(count)
        if count != part.frames or part.last not in (None, last):
            raise OutputError(
                f"{source.name} has {count} of the chunk's {part.frames} pictures, the last at tick {last} (expected: "
                f"{part.last}); expected the file that was analysed"
            )
        encoder.finish()


class Given(NamedTuple):
    """What an encoder is given."""

    pictures: Iterator[_Picture]
    """Filtered, each as often as it is shown."""
    filters: _Filtered
    """What they came through."""
    stream: VideoStream
    """The source's."""
    like: VideoFrame
    """The source's first picture."""


@contextmanager
def given_pictures(source: Path, *, part: Range, recipe: Recipe) -> Iterator[Given]:
    """Decode and filter a range of pictures.

    Raises:
        RequestError, OutputError: As `encode_chunk`.
    """
    reader = PictureReader(source)
    try:
        tick = reader.stream.time_base or Fraction(1)
        pictures = reader.pictures(part.first if part.run_in is None else part.run_in)
        like = next(pictures)
        filters = _Filtered(recipe, like=like, stream=reader.stream, tick=tick)
        frames = _ranged(filters.of(_alike(chain([like], pictures), like, source)), part, tick=tick)
        yield Given(islice(frames, part.frames), filters, reader.stream, like)
    finally:
        reader.close()


def _alike(frames: Iterator[VideoFrame], first: VideoFrame, source: Path) -> Iterator[VideoFrame]:
    """Pictures, as long as they are of one kind."""
    wanted = (first.width, first.height, first.format.name)
    for frame in frames:
        if (found := (frame.width, frame.height, frame.format.name)) != wanted:
            raise RequestError(
                f"The pictures of {source.name} change from {wanted[0]}×{wanted[1]} {wanted[2]} to "
                f"{found[0]}×{found[1]} {found[2]} in the middle; expected one kind: cut the file there, and encode "
                "the parts"
            )
        yield frame


class _Picture(NamedTuple):
    """A picture, and the time stamp that it had in the source."""

    pts: int
    frame: VideoFrame


def _ranged(frames: Iterator[VideoFrame], part: Range, *, tick: Fraction) -> Iterator[_Picture]:
    """The pictures of the range, each as often as it is shown."""
    stamped = (_Picture(frame.pts, frame) for frame in frames if frame.pts is not None)
    inside = (picture for picture in stamped if picture.pts >= part.first)
    if part.sampling is None:
        return inside
    origin, start = part.sampling
    return Sampling(part.rate, origin, tick).sample(inside, first=start)


class _Filtered:
    """A recipe's filters, and what comes out of them."""

    def __init__(self, recipe: Recipe, *, like: VideoFrame, stream: VideoStream, tick: Fraction) -> None:
        self._chain, self._tick = parse_chain(recipe.vf) if recipe.vf else [], tick
        aspect = stream.sample_aspect_ratio or Fraction(1)
        source = like.format.name
        self.format = chosen_format(recipe.how, recipe.pix_fmt, source)
        """Pixel format."""
        needed = bool(self._chain) or self.format != source
        self._filters = (
            FilterChain(self._chain, like=like, time_base=tick, aspect=aspect, format=self.format) if needed else None
        )
        self.aspect = aspect
        """Shape of a pixel."""
        if self._chain:
            self.aspect = filtered_aspect(self._chain, like=like, time_base=tick, aspect=aspect)

    def of(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """Filter pictures; each that comes out has its time stamp in the source's ticks."""
        if self._filters is None:
            yield from frames
            return
        taken: set[int | None] = set()
        for frame in chain(frames, [None]):
            if frame is not None:
                taken.add(frame.pts)
            for found in self._filters.feed(frame):
                found.pts = round((found.pts or 0) * (found.time_base or self._tick) / self._tick)
                if found.pts not in taken:
                    raise RequestError(
                        "The filters give pictures at other times than those that they get (--vf); expected one for "
                        "each, as with bwdif=0, and --fps for another rate"
                    )
                taken.discard(found.pts)
                yield found
