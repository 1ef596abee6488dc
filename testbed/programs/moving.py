"""The command of chunks with moving pictures: writes waves of 320×180, or the pictures of a broken renderer.

python moving.py START COUNT OUTPUT [--fault HOW] [--after N] [--times N] [--only START] [--shared FOLDER]
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.programs.shared import rendered_once

if TYPE_CHECKING:
    from testbed.moving_pictures import Picture

REPEATABLE = {"preset": "veryfast", "crf": "23", "x264-params": "mbtree=0"}
"""With its macroblock tree, x264 wrote up to seven different files of the same pictures in 80 encodes."""


def main() -> None:
    """Write the chunk."""
    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--fault", choices=["restart", "early", "brighter", "clock", "exit", "hang"])
    parser.add_argument("--after", type=int, default=0, help="executions of the chunk before the fault")
    parser.add_argument("--times", type=int, default=1000, help="executions of the chunk up to the last with the fault")
    parser.add_argument("--only", type=int, help="the fault is in the chunk that starts here, alone")
    parser.add_argument("--shared", type=Path, help="a folder from which frames that were rendered once are copied")
    words = parser.parse_args()
    with Path(f"{words.output.parent / 'tries'}-{words.start}").open("ab") as tries:
        tries.write(b".")
        tried = tries.tell()
    is_faulty = words.only in (None, words.start) and words.after < tried <= words.times
    fault = words.fault if is_faulty else None
    if fault == "exit":
        sys.exit("the licence has expired")
    if fault == "hang":
        Path(f"{words.output.parent / 'hangs'}-{words.start}").touch()
        time.sleep(600)
    first: int = 0 if fault == "restart" else words.start - (1 if fault == "early" else 0)
    lighter = 4 if fault == "brighter" else 0
    has_clock = fault == "clock"
    rendered_once(
        None if has_clock else words.shared, "moving", first, words.count, lighter,
        output=words.output,
        render=lambda path: write(path, first, words.count, lighter=lighter, has_clock=has_clock),
    )  # fmt: skip


def write(path: Path, first: int, count: int, *, lighter: int, has_clock: bool) -> None:
    """Encode the frames `[first, first + count)`."""
    from testbed.moving_pictures import Look, waves, write_pictures  # takes a second, with NumPy and FFmpeg

    pictures = [waves(n) + lighter for n in range(first, first + count)]
    if has_clock:
        draw_time(pictures[5])
    write_pictures(path, pictures, Look(options=REPEATABLE))


def draw_time(picture: "Picture") -> None:
    """Draw the time into a picture, as 24 squares that are black or white: its microseconds."""
    now = time.time_ns() // 1000
    for bit in range(24):
        row, column = divmod(bit, 6)
        picture[15 * row : 15 * row + 15, 20 * column : 20 * column + 20] = 255 * (now >> bit & 1)


if __name__ == "__main__":
    main()
