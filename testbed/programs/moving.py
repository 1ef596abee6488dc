"""The command of chunks with moving pictures: writes waves of 320×180, or the pictures of a broken renderer.

python moving.py START COUNT OUTPUT [--fault HOW] [--after N] [--times N] [--only START]
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.moving_pictures import Look, Picture, waves, write_pictures

REPEATABLE = Look(options={"preset": "veryfast", "crf": "23", "x264-params": "mbtree=0"})
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
    pictures = [waves(n) + lighter for n in range(first, first + words.count)]
    if fault == "clock":
        draw_time(pictures[5])
    write_pictures(words.output, pictures, REPEATABLE)


def draw_time(picture: Picture) -> None:
    """Draw the time into a picture, as 24 squares that are black or white: its microseconds."""
    now = time.time_ns() // 1000
    for bit in range(24):
        row, column = divmod(bit, 6)
        picture[15 * row : 15 * row + 15, 20 * column : 20 * column + 20] = 255 * (now >> bit & 1)


if __name__ == "__main__":
    main()
