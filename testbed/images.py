"""Numbered images for tests, of every kind that chunks may write."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from testbed.video import paint, read_number

PROGRAM = Path(__file__).parent / "programs" / "images.py"
KINDS = {
    ".png": ("png", {8: "rgb24", 16: "rgb48be"}),
    ".jpg": ("mjpeg", {8: "yuvj444p"}),
    ".tif": ("tiff", {8: "rgb24", 16: "rgb48le"}),
    ".exr": ("exr", {8: "gbrpf32le", 16: "gbrpf32le"}),
    ".dpx": ("dpx", {8: "rgb24", 16: "gbrp10be"}),
    ".webp": ("libwebp", {8: "bgra"}),
    ".bmp": ("bmp", {8: "bgr24"}),
}
"""By extension, FFmpeg's encoder, and its pixel formats by the bits that are asked for."""


def encode_image(
    frame: int, suffix: str, *, size: int = 64, depth: int = 8, options: Mapping[str, str] | None = None
) -> bytes:
    """A square image that shows a frame's number."""
    name, formats = KINDS[suffix]
    encoder = CodecContext.create(name, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width = encoder.height = size
    encoder.pix_fmt, encoder.time_base = formats[depth], Fraction(1, 25)
    encoder.options = {**({"lossless": "1"} if name == "libwebp" else {}), **(options or {})}
    picture = VideoFrame.from_ndarray(paint(frame, width=size, height=size), format="rgb24")
    picture = picture.reformat(format=formats[depth])
    picture.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def image_number(path: Path) -> int:
    """The number that an image shows, read by another way than this program's."""
    with av.open(str(path)) as image:
        return read_number(next(image.decode(video=0)))


def image_job(
    sizes: Sequence[int] = (10, 10),
    *,
    start: int = 1,
    output: str = "frames/shot_####.png",
    extra: Sequence[str] = (),
    ranges: bool = True,
    named: bool = True,
    **fields: Any,
) -> dict[str, Any]:
    """A job whose chunks write images of one sequence.

    Args:
        sizes: Frames of each chunk.
        start: First frame.
        output: Pattern of the images' names.
        extra: Further words of every command.
        ranges: Whether the job has a command for parts of chunks.
        named: Whether a word of the commands is the output's name.
        fields: Further fields of the document.
    """
    chunks, frame = [], start
    program = [sys.executable, str(PROGRAM)]
    tail = [output, *extra] if named else ["-", f"--in={output}", *extra]
    for index, count in enumerate(sizes):
        command = shlex.join([*program, str(frame), str(count), *tail])
        chunks.append({"id": index, "startFrame": frame, "frameCount": count, "outputFile": output, "command": command})
        frame += count
    job = {
        "metadata": {"totalFrames": sum(sizes), "fps": 24, "width": 64, "height": 64, "duration": 1},
        "chunks": chunks,
        **fields,
    }
    if ranges:
        words = ["{output}", *extra] if named else ["-", "--in={output}", *extra]
        job["rangeCommand"] = f"{shlex.join(program)} {{start}} {{count}} {shlex.join(words)}"
    return job
