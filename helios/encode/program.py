"""`helios-encode-chunk`: the command of a chunk of an encode. It needs PyAV, and no ffmpeg program."""

import argparse
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import av.logging

from helios.encode.chunk import Range, encode_chunk
from helios.encode.recipe import Recipe
from helios.errors import ExpectedError

TELL_SECONDS = 2.0
"""Between two lines that say how far it is."""


def parser() -> argparse.ArgumentParser:
    """The program's options; time stamps are in the source's ticks."""
    words = argparse.ArgumentParser(prog="helios-encode-chunk", description=__doc__)
    words.add_argument("source", type=Path, help="the video")
    words.add_argument("output", type=Path, help="the chunk's file: .mp4, .mkv or .mov")
    words.add_argument("--first", type=int, required=True, help="time stamp of the first picture")
    words.add_argument("--frames", type=int, required=True, help="number of frames")
    words.add_argument("--rate", type=Fraction, required=True, help="frames per second")
    words.add_argument("--last", type=int, help="time stamp of the last picture, to be compared")
    words.add_argument("--run-in", type=int, help="time stamp of the first picture that filters see")
    words.add_argument("--sampling", metavar="ORIGIN:FRAME", help="brings the source to the rate")
    for name in ("--codec", "--crf", "--preset", "--pix-fmt", "--params", "--vf"):
        words.add_argument(name)
    words.add_argument("--threads", type=int, default=0)
    return words


def range_of(words: argparse.Namespace) -> Range:
    """Which pictures the words name."""
    origin, _, start = (words.sampling or "").partition(":")
    return Range(
        first=words.first, frames=words.frames, rate=words.rate, last=words.last, run_in=words.run_in,
        sampling=(int(origin), int(start)) if words.sampling else None,
    )  # fmt: skip


def main() -> None:
    """Encode the chunk; exit with 1, and one line, if that can't be done."""
    words = parser().parse_args()
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    part, told = range_of(words), time.monotonic()

    def tell(count: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS or count == part.frames:
            told = time.monotonic()
            print(f"frame={count} of {part.frames}", flush=True)  # noqa: T201  a command's output

    recipe = Recipe.from_words(vars(words))
    try:
        recipe.check()
        encode_chunk(words.source, words.output, part=part, recipe=recipe, on_frame=tell)
    except (ExpectedError, av.FFmpegError, OSError) as exc:
        sys.exit(f"helios-encode-chunk: {exc}")


if __name__ == "__main__":
    main()
