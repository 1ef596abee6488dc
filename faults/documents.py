"""Mutated job documents through validation: `python -m faults.documents --count 100000 [--seed N] [--processes N]`.

Each document is made of a sound one and a number, so that a failure can be looked at again: `--seed N --count 1`. What
is looked for: an error that is not one of this package's own, a document that takes long, a path that leaves the job
directory, a sound document that is another one once it was written, a message that can't be printed.
"""

import argparse
import json
import posixpath
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helios.errors import HeliosError
from helios.job.source import parse_job_spec
from helios.models import JobSpec
from helios.models.paths import OWN_FOLDER
from testbed.jobs import make_job

LONGEST_SECONDS = 5.0
"""Of CPU, for one document."""
PIECE = 500
"""Documents that a process is given at a time."""
EMITTED = Path(__file__).parents[1] / "tests" / "helios_jobs"
# Numbers that a computation takes amiss, texts of other notations, signs of other languages, and sizes.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2**31 - 1, 2**31, 2**53 + 1, 2**63, -(2**63), 10**40, 10**4200, 1e308, 5e-324,
    0.1, "", " ", "\0", "a\0b", "/", "..", ".", "../x", "a/../../x", "a//b", "./a", "~", "$HOME", "\\", "..\\x", "-",
    ".helios/x", "a/.helios/x", "con.", "x" * 256, "é" * 128, "a/" * 65 + "b", "\ud800", "\udcff", "\U0001f600",
    "\u202e", "\x1b[2J", "1e1000000000", "1e-1000000000", "0x10", "1_000", "1/0", "0/0", "30000/1001", "nan", "inf",
    "١", "**", "**/**", "[", "[!", "{", "s3://b/k", "file:///etc", "http://h/x.json", "https://u:p@h/", "gcs://",
    "local://x", "'", '"', "a 'b", "a \\", "'' x", "\n", "render \n x", "keyframe", "pictures", [], {}, [[]], [{}],
    {"": ""},
    {"creation_time": "0001-01-01T00:00:00+23:59"}, {"language": "e\0g"}, {"a" * 2000: 1}, ["x"] * 50,
)  # fmt: skip
LARGE: tuple[Callable[[int], Any], ...] = (
    lambda size: "a" * size,
    lambda size: "1" * size,
    lambda size: "a " * size,
    lambda size: "\\" * size,
    lambda size: "'" * size,
    lambda size: '"\\"" ' * size,
    lambda size: "a/" * size,
    lambda size: "../" * size,
    lambda size: "1" + "0" * size + "/" + "3" * size,
    lambda size: "\U0001f600" * size,
    lambda size: [0] * size,
    lambda size: [{}] * size,
    lambda size: {f"k{index}": "v" for index in range(size)},
    lambda size: json.loads("[" * min(size, 300) + "]" * min(size, 300)),
)
"""Values of a size."""
WORDS = (b"1e999", b"9" * 4000, b"NaN", b"-Infinity", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"\\ud800"',
         b"[" * 2000, b"{" * 2000, b"\0", b'"', b"\\", b",", b"/*", b"1" * 100 + b"." + b"1" * 100)  # fmt: skip
"""Texts that are put between others."""


@dataclass(frozen=True)
class Outcome:
    """What became of one document."""

    number: int
    """The seed that it was made from."""
    kind: str
    """`sound`, `refused`, or what is wrong."""
    seconds: float
    """CPU time of validation."""


def bases() -> list[dict[str, Any]]:
    """Sound documents of several kinds."""
    full = make_job((10, 7, 3), start=60, id="film", outputFile="film.mp4", mergeCommand="merge a 'b c'")
    full |= {"inputs": ["scene/**"], "revision": "7", "verify": "decode", "assetsUrl": "s3://bucket/assets"}
    full["delivery"] = {"fragments": 2.5, "brand": "iso6", "metadata": {"title": "Film", "language": "eng"}}
    full["chunks"][1]["inputs"] = ["a.json", "b/*.png"]
    template = {name: value for name, value in make_job((10,)).items() if name != "chunks"} | {
        "template": {"command": "r {start} {count} {preroll} {output}", "outputFile": "p/{index:03d}.mp4",
                     "cuts": [4, 7], "startFrame": 2, "shortest": 2, "longest": 9, "preroll": 1, "targetSeconds": 2.5},
    }  # fmt: skip
    fixed = template | {"template": template["template"] | {"targetSeconds": None, "chunkFrames": 3}}
    return [
        full,
        make_job(),
        make_job([1] * 30),
        template,
        fixed,
        *(json.loads(path.read_text()) for path in EMITTED.glob("*.json")),
    ]


def mutated(number: int) -> bytes:
    """The document of a number: a sound one, changed in one to four places."""
    chance = random.Random(number)  # noqa: S311  to be repeated
    document = chance.choice(bases())
    for _ in range(chance.randint(1, 2)):
        _change(document, chance)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    data = text.encode("utf-16" if chance.random() < 0.02 else "utf-8", "surrogatepass")
    return _damaged(data, chance) if chance.random() < 0.25 else data


def _change(document: dict[str, Any], chance: random.Random) -> None:
    """Change one place of a document."""
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [document]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        places += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    if not places:
        return
    holder, key = chance.choice(places)
    match chance.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = chance.choice(LARGE)(chance.choice((3, 70, 300, 1200, 5000, 20_000)))
        case 2 if isinstance(holder, dict):
            holder[str(chance.choice(VALUES))[:3000]] = holder.pop(key)
        case 3 if isinstance(holder, list):
            holder.insert(chance.randint(0, len(holder)), deepcopy(holder[key]))
        case _:
            holder[key] = deepcopy(chance.choice(VALUES))


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """The text with bytes changed, lost, repeated or put in."""
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice((1, 2, 10, 100)))
    middle = {
        0: b"",
        1: data[start:end] * 2,
        2: bytes(chance.randrange(256) for _ in range(end - start)),
    }.get(chance.randrange(4), chance.choice(WORDS))
    return data[:start] + middle + data[end:]


def judge(number: int, make: Callable[[int], bytes] = mutated) -> Outcome:
    """Validate the document of a number, and look at what came of it."""
    data = make(number)
    started = time.process_time()
    try:
        kind = _look(parse_job_spec(data, source="job"))
    except HeliosError as exc:
        kind = "refused"
        try:
            str(exc).encode()
        except UnicodeEncodeError:
            kind = "a message that can't be printed"
    except Exception as exc:  # noqa: BLE001  what is looked for
        kind = f"{type(exc).__name__}: {exc}"[:200]
    seconds = time.process_time() - started
    return Outcome(number, kind if seconds <= LONGEST_SECONDS else f"{seconds:.1f} s", seconds)


def _look(spec: JobSpec) -> str:
    """What is wrong with a document that was taken; `sound` if nothing."""
    for chunk in spec.chunks:
        path = posixpath.normpath(chunk.output_file)
        if path.split("/")[0] in ("", "..", OWN_FOLDER) or "\0" in path or not chunk.argv[0]:
            return f"an escape: {chunk.output_file!r}"
    for pattern in (*(spec.inputs or ()), *(one for chunk in spec.chunks for one in chunk.inputs or ())):
        if pattern.startswith("/") or ".." in pattern.split("/"):
            return f"an escape: {pattern!r}"
    written = json.dumps(spec.to_document(), allow_nan=False).encode()
    return "sound" if parse_job_spec(written, source="job") == spec else "another document once it was written"


def judge_all(numbers: range, *, processes: int = 1) -> list[Outcome]:
    """Judge the documents of some numbers."""
    pieces = [numbers[start : start + PIECE] for start in range(0, len(numbers), PIECE)]
    if processes == 1:
        return [outcome for piece in pieces for outcome in _judge_piece(piece)]
    with ProcessPoolExecutor(processes) as pool:
        return [outcome for piece in pool.map(_judge_piece, pieces) for outcome in piece]


def _judge_piece(numbers: range) -> list[Outcome]:
    return [judge(number) for number in numbers]


def main() -> None:
    """Carry out the command line; exits with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m faults.documents", description="Mutated documents, validated.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="the first number")
    parser.add_argument("--processes", type=int, default=1)
    words = parser.parse_args()
    outcomes = judge_all(range(words.seed, words.seed + words.count), processes=words.processes)
    kinds = Counter(outcome.kind if outcome.kind in ("sound", "refused") else "wrong" for outcome in outcomes)
    longest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(
        f"{len(outcomes)} documents: {dict(kinds)}; the longest took {longest.seconds:.2f} s (number {longest.number})"
    )
    wrong = [outcome for outcome in outcomes if outcome.kind not in ("sound", "refused")]
    for outcome in wrong[:20]:
        print(f"  number {outcome.number}: {outcome.kind}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
