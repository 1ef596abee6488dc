"""Sequences of images to encode."""

from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy import asarray, uint8
from numpy.typing import NDArray

from helios.media.image_file import decode_image
from helios.models.image_pattern import image_pattern
from testbed.encodes import Film, picture

KINDS = {
    ".png": ("png", "rgb24"),
    ".jpg": ("mjpeg", "yuvj420p"),
    ".tif": ("tiff", "rgb24"),
    ".exr": ("exr", "gbrpf32le"),
    ".dpx": ("dpx", "rgb24"),
    ".webp": ("libwebp", "bgra"),
    ".bmp": ("bmp", "bgr24"),
}
"""By extension, FFmpeg's names of an encoder and a pixel format."""


def image_bytes(shown: VideoFrame, suffix: str, *, form: str | None = None) -> bytes:
    """A picture as an image of a kind."""
    codec, usual = KINDS[suffix]
    encoder = CodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    own = shown.reformat(format=form or usual)
    own.pts = None
    encoder.width, encoder.height, encoder.pix_fmt = own.width, own.height, own.format.name
    encoder.time_base = Fraction(1, 25)
    if codec == "libwebp":
        encoder.options = {"lossless": "1"}
    if codec == "mjpeg":
        encoder.options = {"qmin": "1", "qmax": "1"}
    return b"".join(bytes(packet) for packet in [*encoder.encode(own), *encoder.encode(None)])


def write_images(source: Path, film: Film, *, first: int = 1, form: str | None = None) -> list[Path]:
    """Write a film's frames as images with a pattern's names.

    Args:
        source: The pattern.
        film: What they show.
        first: The number of the first one.
        form: FFmpeg's name of their pixel format; the kind's usual one when None.
    """
    pattern = image_pattern(source.name)
    assert pattern is not None
    source.parent.mkdir(parents=True, exist_ok=True)
    paths = [source.with_name(pattern.name(first + number)) for number in range(film.frames)]
    for number, path in enumerate(paths):
        path.write_bytes(image_bytes(picture(film, number), source.suffix, form=form))
    return paths


def pixels(path: Path) -> NDArray[uint8]:
    """What an image shows, in RGB; shape (height, width, 3)."""
    pattern = image_pattern(path.name)
    assert pattern is not None
    options = {"apply_trc": "iec61966_2_1"} if path.suffix == ".exr" else None
    shown = decode_image(path.read_bytes(), codec=pattern.codec, name=path.name, options=options)
    return asarray(shown.to_ndarray(format="rgb24"))


def video_pixels(path: Path) -> list[NDArray[uint8]]:
    """What the frames of a video show, in RGB by the colours that it says."""
    with av.open(str(path)) as video:
        return [
            asarray(frame.reformat(format="rgb24", src_colorspace=frame.colorspace).to_ndarray())
            for frame in video.decode(video=0)
        ]
