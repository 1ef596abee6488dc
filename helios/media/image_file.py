"""Read one image, and say what it is. It is decoded from the bytes that were hashed, and no other file is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from helios.errors import OutputError
from helios.media.bounds import reading_bounds
from helios.media.chunk_file import NO_PICTURES
from helios.media.image_wholeness import exr_depth, exr_size, what_is_missing
from helios.models.images import ImageKind
from helios.regular_file import open_regular

STARTS = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "mjpeg": (b"\xff\xd8\xff",),
    "tiff": (b"II*\0", b"MM\0*"),
    "exr": (b"\x76\x2f\x31\x01",),
    "dpx": (b"SDPX", b"XPDS"),
    "webp": (b"RIFF",),
    "bmp": (b"BM",),
}
"""What files begin with, by FFmpeg's name of the decoder."""
NAMES = {"mjpeg": "JPEG", "tiff": "TIFF", "webp": "WebP"}
STRICT = {"err_detect": "crccheck+explode"}
LAX = {"err_detect": "crccheck"}
"""For TIFF: of tags that it does not know, FFmpeg's decoder makes errors otherwise."""
SMALLEST_DEPTH = 8
"""Bits. Programs write pictures of few colours with fewer, and mean the same."""


@dataclass(frozen=True)
class ReadImage:
    """An image that was read."""

    bytes: int
    """Size of the file."""
    sha256: str
    """Digest of the file, in hexadecimal."""
    kind: ImageKind | None
    """What it is; None where it was not decoded."""


def hash_image(path: Path) -> ReadImage:
    """The size and the digest of an image.

    Raises:
        OutputError: It can't be read.
    """
    data = _read(path)
    return ReadImage(len(data), hashlib.sha256(data).hexdigest(), None)


def read_image(
    path: Path,
    *,
    codec: str,
    width: int,
    height: int,
    decode: bool = True,
    take: Callable[[VideoFrame], None] | None = None,
) -> ReadImage:
    """Decode an image, and compare it with what was ordered.

    Args:
        path: The file.
        codec: FFmpeg's name of the decoder that its extension stands for.
        width: Pixels ordered.
        height: Pixels ordered.
        decode: Whether its pixels are decoded; else its headers are read.
        take: Called with the picture, if it is decoded.

    Raises:
        OutputError: It is missing, damaged, or not what was ordered.
    """
    data = _read(path, most=reading_bounds(frames=1, width=width, height=height).file_bytes)
    if decode:
        picture = decode_image(data, codec=codec, name=path.name)
        size: tuple[int, int] = (picture.width, picture.height)
        form: VideoFormat | None = picture.format
        if take is not None:
            take(picture)
    else:
        size, form = _read_headers(data, codec=codec, name=path.name)
    if size != (width, height):
        raise OutputError(f"{path.name} is {size[0]}×{size[1]} pixels; expected {width}×{height}")
    kind = ImageKind(format=NAMES.get(codec, codec.upper()), depth=_depth(form, data, codec))
    return ReadImage(len(data), hashlib.sha256(data).hexdigest(), kind)


def decode_image(data: bytes, *, codec: str, name: str, options: dict[str, str] | None = None) -> VideoFrame:
    """The picture of a whole image.

    Args:
        data: The file.
        codec: FFmpeg's name of the decoder.
        name: For messages.
        options: Of the decoder, beside those for strictness.

    Raises:
        OutputError: It is damaged, incomplete, or something else.
    """
    _check_start(data, codec=codec, name=name)
    decoder = CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)  # noqa: S101  narrows the type
    decoder.thread_count = 1
    decoder.options = {**(LAX if codec == "tiff" else STRICT), **(options or {})}
    try:
        pictures = [*decoder.decode(Packet(data)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError) as exc:
        raise _unreadable(exc, codec=codec, name=name) from exc
    if len(pictures) != 1 or pictures[0].is_corrupt:
        raise OutputError(f"{name} is damaged: it has {len(pictures)} whole pictures; expected one")
    return pictures[0]


def _read_headers(data: bytes, *, codec: str, name: str) -> tuple[tuple[int, int], VideoFormat | None]:
    """The width and the height of an image, and how its pixels are stored, where its headers say so.

    Raises:
        OutputError: They can't be read.
    """
    _check_start(data, codec=codec, name=name)
    demuxer = f"{'jpeg' if codec == 'mjpeg' else codec}_pipe"
    try:
        with av.open(BytesIO(data), "r", format=demuxer, options=NO_PICTURES) as container:
            context = container.streams.video[0].codec_context
            size = (context.width, context.height)
            return (size if all(size) or codec != "exr" else exr_size(data) or size), context.format
    except (av.FFmpegError, ValueError, IndexError) as exc:
        raise _unreadable(exc, codec=codec, name=name) from exc


def _check_start(data: bytes, *, codec: str, name: str) -> None:
    if not data:
        raise OutputError(f"{name} is empty")
    if not data.startswith(STARTS[codec]):
        raise OutputError(f"{name} is no {NAMES.get(codec, codec.upper())} image; expected one, as its extension says")
    if (missing := what_is_missing(data, codec)) is not None:
        raise OutputError(f"{name} is incomplete: {missing}")


def _unreadable(error: Exception, *, codec: str, name: str) -> OutputError:
    kind, reason = NAMES.get(codec, codec.upper()), getattr(error, "strerror", None) or str(error)
    return OutputError(f"{name} is damaged, or of a kind of {kind} that FFmpeg does not read ({reason})")


def _depth(form: VideoFormat | None, data: bytes, codec: str) -> str:
    """The bits of each color; palettes and pictures of few colors count as what they stand for."""
    if codec == "exr" and (depth := exr_depth(data)) is not None:
        return depth
    if codec == "webp" or form is None or form.has_palette:
        return f"{SMALLEST_DEPTH} bits"
    bits = max((component.bits for component in form.components), default=SMALLEST_DEPTH)
    return f"{max(bits, SMALLEST_DEPTH)} bits"


def _read(path: Path, *, most: int | None = None) -> bytes:
    """A file's bytes; it is no link, and no larger than its picture could be.

    Raises:
        OutputError: It can't be read.
    """
    try:
        with open_regular(path) as file:
            data = file.read() if most is None else file.read(most + 1)
    except FileNotFoundError:
        raise OutputError(f"{path.name} was not written") from None
    except OSError as exc:
        raise OutputError(f"{path.name} can't be read as an image: {exc.strerror}") from exc
    if most is not None and len(data) > most:
        raise OutputError(f"{path.name} has more than {most} bytes, which its pixels take without any compression")
    return data
