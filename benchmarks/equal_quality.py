"""An encode's size in chunks beside one process at the same quality: `python -m benchmarks.equal_quality [CODEC …]`.

The clips are those of `benchmarks.scenes`, their chunks its scenes. One process encodes each clip with key frames where
chunks begin, the same settings and one thread, at three quantisers; its size at the chunks' XPSNR lies on the line
between two of them.
"""

import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean

import av
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from benchmarks.scenes import KINDS, RATE, SCENE_FRAMES, write
from helios.encode.chunk import Range, encode_chunk
from helios.encode.priority import same_priority
from helios.encode.recipe import Recipe
from helios.encode.score import Xpsnr

STEPS = (-2, 0, 2)
"""Quantisers of one process, beside that of the chunks."""
RECIPES = {
    "x264": Recipe("x264", crf="23", preset="medium", threads=1),
    "x265": Recipe("x265", crf="26", preset="fast", threads=1),
    "svt-av1": Recipe("svt-av1", crf="35", preset="8", threads=1),
    "vp9": Recipe("vp9", crf="35", preset="4", threads=1),
}
Size = tuple[int, float]
"""Bytes of a video's packets, and its XPSNR in dB."""


def in_one(source: Path, starts: set[int], recipe: Recipe) -> Path:
    """Encode all in one go, with key frames where chunks begin."""
    output = source.with_name(f"one-{recipe.crf}{recipe.how.suffix}")
    options = recipe.options(pixel_format="yuv420p")
    if recipe.codec in {"x264", "x265"}:
        options["forced-idr"] = "1"
    with same_priority(), av.open(str(source)) as file, av.open(str(output), "w") as written:
        like = file.streams.video[0]
        video = written.add_stream(recipe.how.encoder, rate=RATE, options=options)
        assert isinstance(video, VideoStream)
        (video.width, video.height), video.pix_fmt = (like.width, like.height), "yuv420p"
        video.codec_context.thread_count = recipe.threads
        for number, frame in enumerate(file.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            frame.pict_type = PictureType.I if number in starts else PictureType.NONE
            _put(written, video.encode(frame))
        _put(written, video.encode(None))
    return output


def _put(written: av.container.OutputContainer, packets: list[av.Packet]) -> None:  # type: ignore[type-arg]
    for packet in packets:
        packet.dts = packet.pts if packet.dts is None else packet.dts
        written.mux(packet)


def in_chunks(source: Path, recipe: Recipe, *, lead_in: int) -> list[Path]:
    """Encode each scene by itself, as a chunk's program does."""
    with av.open(str(source)) as file:
        times = [frame.pts or 0 for frame in file.decode(video=0)]
    found = []
    for number, (start, frames) in enumerate(zip(_starts(), SCENE_FRAMES, strict=True)):
        place = source.with_name(f"chunk-{number}{recipe.how.suffix}")
        part = Range(times[start], frames, Fraction(RATE), lead_in=lead_in if start else 0)
        encode_chunk(source, place, part=part, recipe=recipe)
        found.append(place)
    return found


def judged(source: Path, encoded: Sequence[Path]) -> Size:
    """Size and quality of the parts of an encode."""
    size = 0
    for path in encoded:
        with av.open(str(path)) as file:
            size += sum(packet.size for packet in file.demux(video=0))
    with _pictures([source]) as wanted, _pictures(encoded) as found:
        meter = None
        for one, other in zip(wanted, found, strict=True):
            meter = meter or Xpsnr(one)
            meter.add(one, other)
    assert meter is not None
    return size, meter.score()


@contextmanager
def _pictures(paths: Sequence[Path]) -> Iterator[Iterator[VideoFrame]]:
    def read() -> Iterator[VideoFrame]:
        for path in paths:
            with av.open(str(path)) as file:
                yield from file.decode(video=0)

    pictures = read()
    try:
        yield pictures
    finally:
        pictures.close()  # type: ignore[attr-defined]


def at_quality(points: Sequence[Size], quality: float) -> float:
    """The size at a quality, on the line through the two encodes around it, or nearest to it."""
    ordered = sorted((score, math.log(size)) for size, score in points)
    (x, y), (u, v) = next((pair for pair in pairwise(ordered) if quality <= pair[1][0]), ordered[-2:])
    return math.exp(y + (quality - x) * (v - y) / (u - x))


def stepped(recipe: Recipe) -> list[Recipe]:
    """The recipe at each of one process's quantisers."""
    return [Recipe(**{**vars(recipe), "crf": str(int(recipe.crf or 0) + step)}) for step in STEPS]


def _starts() -> list[int]:
    return [0, *accumulate(SCENE_FRAMES)][:-1]


def _of_clip(folder: Path, recipe: Recipe, lead_ins: Sequence[int]) -> list[float]:
    """Bytes of chunks with each lead-in in proportion to those of one process at the same quality."""
    source = folder / "film.mp4"
    points = [judged(source, [in_one(source, set(_starts()), each)]) for each in stepped(recipe)]
    sizes = [judged(source, in_chunks(source, recipe, lead_in=each)) for each in lead_ins]
    return [size / at_quality(points, quality) for size, quality in sizes]


def main() -> None:
    """Measure each clip with each encoder; print a table."""
    for codec in sys.argv[1:] or RECIPES:
        recipe = RECIPES[codec]
        lead_ins = sorted({0, recipe.how.lead_in})
        rows = []
        print(f"{codec} {recipe.preset} crf {recipe.crf}: without a lead-in, and with it", flush=True)
        for name, kind in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder, "film.mp4"), kind)
                rows.append(_of_clip(Path(folder), recipe, lead_ins))
            print(f"  {name:<10}", *(f"{100 * (one - 1):+7.2f} %" for one in rows[-1]), flush=True)
        for number, lead_in in enumerate(lead_ins):
            shares = [100 * (row[number] - 1) for row in rows]
            print(f"  lead-in {lead_in}: mean {fmean(shares):+.2f} %, {min(shares):+.2f} to {max(shares):+.2f} %")


if __name__ == "__main__":
    main()
