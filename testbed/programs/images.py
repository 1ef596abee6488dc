"""The command of tests with images: writes each frame as an image, or misbehaves as told.

python images.py START COUNT PATTERN [--notes DIR] [--depth 16] [--size W] [--misbehave HOW] [--at FRAME] [--once FILE]

PNG is written by the standard library alone, so that a test's command starts at once; other kinds by FFmpeg's encoders.
"""

import argparse
import os
import re
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

BITS = 16
WIDE = 64


def main() -> None:
    """Write the images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("output")
    parser.add_argument("--in", dest="place", help="the output, where no word of the command is to name it")
    parser.add_argument("--notes", type=Path, help="a folder in which each image that is begun leaves a file")
    parser.add_argument("--size", type=int, default=WIDE)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--misbehave", default="")
    parser.add_argument("--at", type=int, help="the frame at which it misbehaves")
    parser.add_argument("--once", type=Path, help="a file that is made when it has misbehaved: it does so once")
    parser.add_argument("--after", type=Path, help="likewise; it misbehaves each time but the first")
    parser.add_argument("--pass", dest="other", help="the name of a further file for each image")
    parser.add_argument("--red", action="store_true", help="plain images of (200, 20, 20)")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds before each image")
    words = parser.parse_args()
    pattern = words.place or words.output
    if "." not in pattern.rpartition("/")[2]:
        pattern += ".png"
    for frame in range(words.start, words.start + words.count):
        if words.notes:
            (words.notes / f"{frame}-{os.getpid()}").touch()
        time.sleep(words.wait)
        path, size, depth = path_of(pattern, frame), words.size, words.depth
        data: bytes | None = image(frame, path.suffix, size=size, depth=depth)
        if words.red:
            data = png(frame, size=size, depth=8, plain=b"\xc8\x14\x14")
        if frame == words.at and words.after and not words.after.exists():
            words.after.touch()
        elif frame == words.at and not (words.once and words.once.exists()):
            if words.once:
                words.once.touch()
            data = misbehave(words.misbehave, path, data or b"", frame=frame, size=size)
        if data is not None:
            path.write_bytes(data)
        if words.other:
            path.with_name(words.other.format(f"{frame:04d}")).write_bytes(data or b"")


def path_of(pattern: str, frame: int) -> Path:
    """A frame's image: the number stands in the place of the name's `####` or `%04d`.

    `helios.models` has this too; importing that takes four times as long as all else that this program does.
    """

    def number(field: re.Match[str]) -> str:
        digits = len(field[0]) if field[0][0] == "#" else int(field[0][1:-1] or 0)
        return f"{frame:0{digits or 1}d}"

    folder, slash, name = pattern.rpartition("/")
    return Path(f"{folder}{slash}{re.sub(r'#+|%(?:0[0-9]{1,2})?d', number, name, count=1)}")


def misbehave(how: str, path: Path, data: bytes, *, frame: int, size: int) -> bytes | None:
    """What is written instead of an image, if the program goes on."""
    match how:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die-in-the-middle":
            path.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        case "fail":
            sys.exit(3)
        case "skip":
            return None
        case "half":
            return data[: len(data) // 2]
        case "other-size":
            return image(frame, path.suffix, size=size // 2, depth=8)
        case "other-depth":
            return image(frame, path.suffix, size=size, depth=16)
        case "other-number":
            return image(frame + 1, path.suffix, size=size, depth=8)
        case "empty":
            return b""
        case "extra":
            path.with_name(path.name.replace(f"{frame}", f"{frame + 1}")).write_bytes(data)
        case "hang":
            time.sleep(600)
    return data


def image(frame: int, suffix: str, *, size: int, depth: int) -> bytes:
    """A square image that shows a frame's number, as `testbed.video.paint` draws it."""
    if suffix == ".png":
        return png(frame, size=size, depth=depth)
    from testbed.images import encode_image  # takes a second, with NumPy and FFmpeg

    return encode_image(frame, suffix, size=size, depth=depth)


def png(frame: int, *, size: int, depth: int, plain: bytes | None = None) -> bytes:
    """A PNG of 8 or 16 bits for each color; `plain` is the one color of all pixels, instead of the number."""
    rows = []
    for y in range(size):
        bits = [(frame >> (4 * (y * 4 // size) + x * 4 // size)) & 1 for x in range(size)]
        shown = b"".join((b"\xff" if bit else b"\0") * (3 * depth // 8) for bit in bits)
        rows.append(b"\0" + (plain * size if plain else shown))
    header = struct.pack(">IIBBBBB", size, size, depth, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


if __name__ == "__main__":
    main()
