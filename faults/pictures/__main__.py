"""Run the bad-picture bench: `python -m faults.pictures [--seed N] [--jobs N] [--film N]`.

`--kinds WORD` makes only kinds of bad output with this word in their names, `--good-only` none.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from faults.pictures.table import describe, make_table
from faults.pictures.trial import Case, Caught, Trial
from testbed.films.drawn import draw_film
from testbed.films.kinds import KINDS

FILMS_PER_SEED = 1000
"""Films of a seed have numbers from this many times the seed on."""


def run_all(numbers: range | list[int], *, kinds: tuple[str, ...], verbose: bool) -> Iterator[Case]:
    """Draw films by their numbers, and make each good and bad."""
    started = time.monotonic()
    for count, number in enumerate(numbers, 1):
        with tempfile.TemporaryDirectory(prefix="bad-pictures-") as folder:
            for case in Trial(draw_film(number), Path(folder), kinds=kinds).cases():
                if verbose or _is_worth_a_line(case):
                    print(describe(case), flush=True)
                yield case
        if count % 20 == 0:
            print(f"{count} of {len(numbers)} films, {(time.monotonic() - started) / 60:.1f} min", flush=True)


def _is_worth_a_line(case: Case) -> bool:
    return (case.caught is not Caught.MISSED) if not case.kind else (case.caught is Caught.MISSED)


def main() -> int:
    """Run the bench, and print its table."""
    parser = argparse.ArgumentParser(prog="python -m faults.pictures")
    parser.add_argument("--seed", type=int, default=1, help="of the films")
    parser.add_argument("--jobs", type=int, default=200, help="how many good films; bad ones are made in each")
    parser.add_argument("--kinds", default="", help="only kinds of bad output with this word in their names")
    parser.add_argument("--good-only", action="store_true", help="no bad films: to count false alarms")
    parser.add_argument("--film", type=int, help="this film alone: the number that a line names")
    words = parser.parse_args()
    kinds = () if words.good_only else tuple(kind for kind in KINDS if words.kinds in kind)
    if not kinds and not words.good_only:
        parser.error(f"no kind has {words.kinds!r} in its name; there are: {', '.join(KINDS)}")
    first = words.seed * FILMS_PER_SEED
    numbers = [words.film] if words.film is not None else range(first, first + words.jobs)
    cases = list(run_all(numbers, kinds=kinds, verbose=words.film is not None))
    print(make_table(cases))
    # A good film must never fail. What is missed is for people to judge: the table says how much.
    return 1 if any(not case.kind and case.caught is Caught.FAILED for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
