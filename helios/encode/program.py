"""`helios-encode-chunk`: the command of a chunk of an encode. It needs PyAV, and no ffmpeg program."""

import argparse
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.logging

from helios.encode.chunk import Range, encode_chunk
from helios.encode.quality import Chosen, choose_quantiser, quality_of
from helios.encode.recipe import Recipe
from helios.errors import ExpectedError
from helios.models.quality import quality_line

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
    words.add_argument("--lead-in", type=int, default=0, help="how often the encoder is given the first picture before")
    words.add_argument("--sample", metavar="FIRST:FRAMES:RUN-IN:FRAME", help="what --target is tried on")
    words.add_argument("--compare", action="store_true", help="hold the chunk against its source")
    words.add_argument("--sampling", metavar="ORIGIN:FRAME", help="brings the source to the rate")
    for name in ("--codec", "--crf", "--preset", "--pix-fmt", "--params", "--vf", "--target"):
        words.add_argument(name)
    words.add_argument("--threads", type=int, default=0)
    return words


def range_of(words: argparse.Namespace) -> Range:
    """Which pictures the words name."""
    origin, _, start = (words.sampling or "").partition(":")
    return Range(
        first=words.first, frames=words.frames, rate=words.rate, last=words.last, run_in=words.run_in,
        lead_in=words.lead_in,
        sampling=(int(origin), int(start)) if words.sampling else None,
    )  # fmt: skip


def sample_of(words: argparse.Namespace) -> Range:
    """The pictures that quantisers are tried on; the whole chunk where none are named."""
    part = range_of(words)
    if words.sample is None:
        return part
    first, frames, run_in, start = map(int, words.sample.split(":"))
    return replace(
        part, first=first, frames=frames, last=None, run_in=None if part.run_in is None else run_in,
        sampling=None if part.sampling is None else (part.sampling[0], start),
    )  # fmt: skip


class Teller:
    """Says how far something is, now and then.

    Args:
        what: Before the numbers, `frame=` for what counts as progress.
        total: Of frames.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._told = what, total, time.monotonic()

    def __call__(self, count: int) -> None:
        """So many frames are done."""
        if time.monotonic() - self._told >= TELL_SECONDS or count == self._total:
            self._told = time.monotonic()
            say(f"{self._what}{count} of {self._total}")


def say(line: str) -> None:
    """Print a line of a command's output."""
    print(line, flush=True)  # noqa: T201


def say_probe(quantiser: int, score: float | None) -> None:
    """Say what came of a quantiser."""
    say(f"tried crf {quantiser}: {'failed' if score is None else f'XPSNR {score:.2f} dB'}")


def carry_out(words: argparse.Namespace) -> None:
    """Do what the words say.

    Raises:
        ExpectedError: It can't be done.
    """
    recipe, part = Recipe.from_words(vars(words)), range_of(words)
    recipe.check()
    chosen = Chosen(recipe)
    if recipe.target is not None:
        chosen = choose_quantiser(
            words.source, sample=sample_of(words), recipe=recipe, suffix=words.output.suffix, on_probe=say_probe
        )
    encode_chunk(words.source, words.output, part=part, recipe=chosen.recipe, on_frame=Teller("frame=", part.frames))
    if words.compare or recipe.target is not None:
        tell = Teller("compared ", part.frames)
        quality = quality_of(words.source, words.output, part=part, chosen=chosen, on_frame=tell)
        say(quality_line(quality))  # read by `helios.models.quality`


def main() -> None:
    """Encode the chunk; exit with 1, and one line, if that can't be done."""
    words = parser().parse_args()
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    try:
        carry_out(words)
    except (ExpectedError, av.FFmpegError, OSError) as exc:
        sys.exit(f"helios-encode-chunk: {exc}")


if __name__ == "__main__":
    main()
