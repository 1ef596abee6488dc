"""A stand-in for the Helios renderer's own program, for the job documents that it emits.

helios render COMPOSITION -o OUTPUT --start-frame N --frame-count N --width W --height H --fps R …
helios merge OUTPUT INPUT…
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from helios.media.stitching import FfmpegStitcher, StitchInput
from testbed.video import Clip, read_numbers, write_clip


def main() -> None:
    """Render numbered frames with sound, or merge them."""
    if sys.argv[1] == "merge":
        output, *inputs = map(Path, sys.argv[2:])
        parts = [StitchInput(path, len(read_numbers(path)), path.name) for path in inputs]
        FfmpegStitcher().stitch(parts, output, fps=Fraction(30))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="output", type=Path)
    for name in ("--start-frame", "--frame-count", "--width", "--height"):
        parser.add_argument(name, type=int)
    parser.add_argument("--fps", type=Fraction)
    words, _ = parser.parse_known_args(sys.argv[2:])
    clip = Clip(fps=words.fps, width=words.width, height=words.height, sample_rate=48000)
    write_clip(words.output, clip, start=words.start_frame, count=words.frame_count)


if __name__ == "__main__":
    main()
