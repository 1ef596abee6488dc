"""The command of the tests' chunks: writes numbered frames, or misbehaves as told.

python render.py START COUNT OUTPUT [--zero N] [--sound] [--codec NAME] [--fps R] [--size W] [--misbehave HOW]
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.video import Clip, write_clip


def main() -> None:
    """Write the chunk."""
    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--zero", type=int, default=0)
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--fps", type=Fraction, default=Fraction(30))
    parser.add_argument("--misbehave", default="")
    parser.add_argument("--only", type=int, help="misbehave in the chunk that starts here, alone")
    parser.add_argument("--notes", type=Path, help="a folder in which each execution leaves a file")
    words = parser.parse_args()
    if words.notes:
        (words.notes / f"{words.start}-{os.getpid()}").touch()
    clip = Clip(fps=words.fps, sample_rate=48000 if words.sound else None)
    if words.misbehave and words.only in (None, words.start):
        misbehave(words, clip)
        return
    write_clip(words.output, clip, start=words.start, count=words.count, zero=words.zero)


def misbehave(words: argparse.Namespace, clip: Clip) -> None:
    """Do what a broken renderer does."""
    start, count, output = words.start, words.count, words.output
    match words.misbehave.split(":"):
        case ["no-output"]:
            pass
        case ["empty"]:
            output.write_bytes(b"")
        case ["garbage"]:
            output.write_bytes(os.urandom(5000))
        case ["truncated"]:
            write_clip(output, clip, start=start, count=count)
            output.write_bytes(output.read_bytes()[:-400])
        case ["truncated-late"]:  # the index is in front, the last frames are cut off
            write_clip(output.with_suffix(".mkv"), clip, start=start, count=count)
            whole = output.with_suffix(".mkv").read_bytes()
            output.write_bytes(whole[: len(whole) * 2 // 3])
            output.with_suffix(".mkv").unlink()
        case ["short"]:
            write_clip(output, clip, start=start, count=count - 1)
        case ["long"]:
            write_clip(output, clip, start=start, count=count + 1)
        case ["size"]:
            write_clip(output, replace(clip, width=80), start=start, count=count)
        case ["rate"]:
            write_clip(output, replace(clip, fps=Fraction(25)), start=start, count=count)
        case ["codec"]:
            write_clip(output, replace(clip, codec="mpeg4"), start=start, count=count)
        case ["parameters"]:
            write_clip(output, replace(clip, options={"profile": "baseline"}), start=start, count=count)
        case ["exit", code]:
            print("about to fail", flush=True)
            print("the scene can't be loaded: é", file=sys.stderr, flush=True)
            sys.exit(int(code))
        case ["fail-times", times]:
            tries = Path(f"{output.parent / 'tries'}-{start}")
            with tries.open("ab") as file:
                file.write(b".")
            if tries.stat().st_size <= int(times):
                sys.exit("not yet")
            write_clip(output, clip, start=start, count=count)
        case ["slow", seconds]:
            time.sleep(float(seconds))
            write_clip(output, clip, start=start, count=count)
        case ["hang"]:
            hang()
        case ["hang-hard"]:  # ignores SIGTERM, and so does a grandchild that left the session
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
            subprocess.Popen([sys.executable, "-c", ignore], start_new_session=True)
            hang()
        case ["flood", megabytes]:
            line = b"x" * 99 + b"\n"
            for _ in range(int(megabytes)):
                sys.stdout.buffer.write(line * 10_000)
            write_clip(output, clip, start=start, count=count)
        case _:
            sys.exit(f"unknown misbehaviour {words.misbehave}")


def hang() -> None:
    """Say so, and do nothing for ten minutes."""
    print("hanging", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
