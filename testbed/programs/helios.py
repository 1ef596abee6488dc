"""A stand-in for the Helios renderer's own program, for the job documents that it emits.

helios render COMPOSITION -o OUTPUT --start-frame N --frame-count N --width W --height H --fps R …
helios merge OUTPUT INPUT…

What it rendered once is copied from the folder that the variable HELIOS_TESTS_SHARED names.
"""

import argparse
import os
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.programs.shared import rendered_once


def main() -> None:
    """Render numbered frames with sound, or merge them."""
    if sys.argv[1] == "merge":
        merge(*map(Path, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="output", type=Path)
    for name in ("--start-frame", "--frame-count", "--width", "--height"):
        parser.add_argument(name, type=int)
    parser.add_argument("--fps", type=Fraction)
    words, _ = parser.parse_known_args(sys.argv[2:])
    shared = os.environ.get("HELIOS_TESTS_SHARED")
    rendered_once(
        None if shared is None else Path(shared), "helios", sorted(vars(words).items()),
        output=words.output, render=lambda path: write(path, words),
    )  # fmt: skip


def write(path: Path, words: argparse.Namespace) -> None:
    """Render numbered frames with sound."""
    from testbed.video import Clip, write_clip  # takes a second, with NumPy and FFmpeg

    clip = Clip(fps=words.fps, width=words.width, height=words.height, sample_rate=48000)
    write_clip(path, clip, start=words.start_frame, count=words.frame_count)


def merge(output: Path, *inputs: Path) -> None:
    """Join chunks."""
    from helios.media.stitching import FfmpegStitcher, StitchInput
    from testbed.video import read_numbers

    parts = [StitchInput(path, len(read_numbers(path)), path.name) for path in inputs]
    FfmpegStitcher().stitch(parts, output, fps=Fraction(30))


if __name__ == "__main__":
    main()
