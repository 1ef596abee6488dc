"""The command of the tests' chunks: writes numbered frames, or misbehaves as told.

python render.py START COUNT OUTPUT [--zero N] [--sound] [--codec NAME] [--fps R] [--size W] [--misbehave HOW]
"""

import argparse
import os
import signal
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from testbed.programs.shared import rendered_once


def main() -> None:
    """Write the chunk."""
    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--zero", type=int, default=0)
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--audio-codec", default="pcm_s16le")
    parser.add_argument("--fps", type=Fraction, default=Fraction(30))
    parser.add_argument("--misbehave", default="")
    parser.add_argument("--only", type=int, help="misbehave in the chunk that starts here, alone")
    parser.add_argument("--shared", type=Path, help="a folder from which frames that were rendered once are copied")
    parser.add_argument("--notes", type=Path, help="a folder in which each execution leaves a file")
    parser.add_argument("--costs", type=float, nargs=3, metavar=("FIRST", "LAST", "FRAMES"), help="seconds of the "
                        "first and the last of so many frames")  # fmt: skip
    parser.add_argument("--most", type=int, help="hang where it is to render more frames")
    words = parser.parse_args()
    if words.most is not None and words.count > words.most:
        words.misbehave = "hang"
    if words.notes:
        (words.notes / f"{words.start}-{words.count}-{os.getpid()}").touch()
    if words.costs:
        first, last, frames = words.costs
        time.sleep(
            sum(first + (last - first) * frame / frames for frame in range(words.start, words.start + words.count))
        )
    if words.misbehave and words.only in (None, words.start):
        misbehave(words)
        return
    write(words, zero=words.zero)


def write(
    words: argparse.Namespace, output: Path | None = None, *, count: int | None = None, zero: int = 0, **look: Any
) -> None:
    """Write the frames, copied if this test run has rendered them before; `look` has fields of `Clip`."""
    output = output or words.output
    count = words.count if count is None else count
    sound = {"sample_rate": 48000 if words.sound else None, "audio_codec": words.audio_codec}
    look = {"fps": words.fps, **sound, **look}

    def render(path: Path) -> None:
        from testbed.video import Clip, write_clip  # takes a second, with NumPy and FFmpeg

        write_clip(path, Clip(**look), start=words.start, count=count, zero=zero)

    rendered_once(words.shared, words.start, count, zero, sorted(look.items()), output=output, render=render)


def misbehave(words: argparse.Namespace) -> None:
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
            write(words)
            output.write_bytes(output.read_bytes()[:-400])
        case ["truncated-late"]:
            write_truncated_late(words)
        case ["damaged"]:
            write_damaged(words)
        case ["damaged-times", times]:
            (write if tried(words) > int(times) else write_damaged)(words)
        case ["short"]:
            write(words, count=count - 1)
        case ["long"]:
            write(words, count=count + 1)
        case ["size"]:
            write(words, width=80)
        case ["rate"]:
            write(words, fps=Fraction(25))
        case ["codec"]:
            write(words, codec="mpeg4")
        case ["parameters"]:
            write(words, options={"profile": "baseline"})
        case ["exit", code]:
            print("about to fail", flush=True)
            print("the scene can't be loaded: é", file=sys.stderr, flush=True)
            sys.exit(int(code))
        case ["fail-times", times]:
            if tried(words) <= int(times):
                sys.exit("not yet")
            write(words)
        case ["link", kind]:  # the rendered file keeps another name, too
            write_link(words, kind)
        case ["slow", seconds]:
            time.sleep(float(seconds))
            write(words)
        case ["until", folder]:  # waits for a file named as its first frame, or `all`
            while not (Path(folder, str(start)).exists() or Path(folder, "all").exists()):
                time.sleep(0.1)
            write(words)
        case ["hang"]:
            hang()
        case ["hang-hard"]:  # ignores SIGTERM, and so does a grandchild that left the session
            hang_hard()
        case ["flood", megabytes]:
            line = b"x" * 99 + b"\n"
            for _ in range(int(megabytes)):
                sys.stdout.buffer.write(line * 10_000)
            write(words)
        case _:
            sys.exit(f"unknown misbehaviour {words.misbehave}")


def tried(words: argparse.Namespace) -> int:
    """How often this chunk was tried, this time included."""
    tries = Path(f"{words.output.parent / 'tries'}-{words.start}")
    with tries.open("ab") as file:
        file.write(b".")
    return tries.stat().st_size


def write_damaged(words: argparse.Namespace) -> None:
    """Write the frames, with half of the data of a middle frame zeroed."""
    write(words)
    from testbed.video import damage

    damage(words.output, words.count // 2)


def write_truncated_late(words: argparse.Namespace) -> None:
    """Write a file whose last frames are cut off, while the frames before can be read."""
    whole = words.output.with_suffix(".mkv")
    write(words, whole)
    words.output.write_bytes(whole.read_bytes()[:-100])
    whole.unlink()


def write_link(words: argparse.Namespace, kind: str) -> None:
    """Write a file of another name, and link to it: by a hard link, or by a symbolic one."""
    kept = words.output.parent / f"kept-{words.start}{words.output.suffix}"
    write(words, kept)
    if kind == "hard":
        os.link(kept, words.output)
    else:
        os.symlink(kept.absolute(), words.output)


def hang_hard() -> None:
    """Ignore SIGTERM for ten minutes, in this process and in a grandchild that has left the session."""
    import subprocess  # a seventh of the time of a command that copies its frames

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    # The folder is one of its arguments, since tests find a job's processes by its path.
    subprocess.Popen([sys.executable, "-c", ignore, os.getcwd(), *sys.argv[1:]], start_new_session=True)
    hang()


def hang() -> None:
    """Print `hanging`, and do nothing for ten minutes."""
    print("hanging", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
