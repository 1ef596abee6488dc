"""The command of chunks with moving pictures: writes waves of 320×180, or the pictures of a broken renderer.

python moving.py START COUNT OUTPUT [--fault restart|early|brighter] [--times N] [--only START]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.moving_pictures import Look, waves, write_pictures


def main() -> None:
    """Write the chunk."""
    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--fault", choices=["restart", "early", "brighter"])
    parser.add_argument("--times", type=int, default=1000, help="executions of the chunk with the fault")
    parser.add_argument("--only", type=int, help="the fault is in the chunk that starts here, alone")
    words = parser.parse_args()
    with Path(f"{words.output.parent / 'tries'}-{words.start}").open("ab") as tries:
        tries.write(b".")
        tried = tries.tell()
    fault = words.fault if words.only in (None, words.start) and tried <= words.times else None
    first: int = 0 if fault == "restart" else words.start - (1 if fault == "early" else 0)
    lighter = 4 if fault == "brighter" else 0
    write_pictures(words.output, [waves(n) + lighter for n in range(first, first + words.count)], Look())


if __name__ == "__main__":
    main()
