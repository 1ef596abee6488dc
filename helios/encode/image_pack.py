"""Put a sequence of images into one file, as they are: from then on it is a source like any other.

Chunks are cut, workers fetch the parts that they need, and times are exact, by what reads videos. The file is
QuickTime's, which has a place for PNG, JPEG, TIFF, EXR and DPX; WebP and BMP become PNG.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import hashlib
import json
import os
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.image_files import ImageFiles
from helios.errors import OutputError, RequestError
from helios.media.image_file import decode_image
from helios.models.paths import OWN_FOLDER
from helios.regular_file import open_regular

NAME = "images.mov"
"""In the job directory."""
RECORD = Path(OWN_FOLDER, "encode", "images.json")
NO_PLACE = frozenset({"webp", "bmp"})
"""Codecs that QuickTime has no place for."""
Progress = Callable[[int, int], None]
Kind = tuple[int, int, str]


def packed(images: ImageFiles, fps: Fraction, *, job_dir: Path, on_picture: Progress | None = None) -> Path:
    """The file with the images: as it is, where they are as they were; else made now.

    Args:
        images: The images.
        fps: Frames per second.
        job_dir: Where the file is kept.
        on_picture: Told how many images were looked at, and how many there are.

    Raises:
        RequestError: An image is damaged, or of another size or format than the first; or nothing can be written.
    """
    place, record = job_dir / NAME, job_dir / RECORD
    try:
        wanted = _sign(images, fps)
        known = _known(record)
        if known is not None and known == [wanted, _stat(place)]:
            return place
        if known is None and os.path.lexists(place):
            raise RequestError(
                f"{place} is a file that this program did not make; name another job directory (--job-dir)"
            )
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("[]")  # from now on what lies there is this program's
        unfinished = record.with_name(f"images.{os.getpid()}.tmp")
        try:
            _pack(images, fps, unfinished, on_picture)
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)
        record.write_text(json.dumps([wanted, _stat(place)]))
    except OSError as exc:
        raise RequestError(
            f"The images can't be put into {place}: {exc.strerror}; name another job directory (--job-dir)"
        ) from None
    return place


def _sign(images: ImageFiles, fps: Fraction) -> str:
    """What differs when other images are meant, or one was written to."""
    digest = hashlib.sha256(f"{fps} {images.folder.resolve()}".encode())
    for path in images.paths:
        digest.update(f"{path.name} {_stat(path)}".encode())
    return digest.hexdigest()


def _stat(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _known(record: Path) -> list[object] | None:
    try:
        found = json.loads(record.read_text())
        return found if isinstance(found, list) else None
    except (OSError, ValueError):
        return None  # none, or not one of this program's


def _pack(images: ImageFiles, fps: Fraction, place: Path, on_picture: Progress | None) -> None:
    first: tuple[str, Kind] | None = None
    with av.open(str(place), "w", format="mov", options={"fflags": "+bitexact"}) as output:
        stream: VideoStream | None = None
        for number, path in enumerate(images.paths):
            data, picture = _read(path, images.pattern.codec)
            kind = (picture.width, picture.height, picture.format.name)
            first = first or (path.name, kind)
            _refuse_other(path.name, kind, *first)
            codec = images.pattern.codec
            if codec in NO_PLACE:
                codec, data = "png", _as_png(picture)
            if stream is None:
                stream = _stream(output, codec, data, fps)
            packet = Packet(data)
            packet.pts = packet.dts = number
            packet.duration, packet.time_base = 1, 1 / fps
            packet.is_keyframe, packet.stream = True, stream
            output.mux_one(packet)
            if on_picture is not None:
                on_picture(number + 1, images.count)


def _read(path: Path, codec: str) -> tuple[bytes, VideoFrame]:
    try:
        with open_regular(path) as file:
            data = file.read()
        return data, decode_image(data, codec=codec, name=path.name)
    except OSError as exc:
        raise RequestError(f"{path} can't be read: {exc.strerror}; expected an image") from None
    except OutputError as exc:
        raise RequestError(f"In {path.parent}, {exc}; nothing was encoded") from None


def _refuse_other(name: str, kind: Kind, first: str, expected: Kind) -> None:
    if kind != expected:
        raise RequestError(
            f"{name} is {kind[0]}×{kind[1]} {kind[2]}, and {first} is {expected[0]}×{expected[1]} {expected[2]}; "
            "expected images of one size and format"
        )


def _stream(output: OutputContainer, codec: str, data: bytes, fps: Fraction) -> VideoStream:
    """A track for images like one of them, of which nothing is encoded."""
    demuxer = f"{'jpeg' if codec == 'mjpeg' else codec}_pipe"
    with av.open(BytesIO(data), "r", format=demuxer) as one:
        stream = output.add_stream_from_template(one.streams.video[0])
    stream.time_base = 1 / fps
    return stream


def _as_png(picture: VideoFrame) -> bytes:
    """A picture as PNG, in RGB; what WebP has of BT.601 is brought there."""
    has_alpha = any(component.is_alpha for component in picture.format.components)
    shown = picture.reformat(format="rgba" if has_alpha else "rgb24")
    encoder = CodecContext.create("png", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101  narrows the type
    encoder.width, encoder.height, encoder.pix_fmt = shown.width, shown.height, shown.format.name
    encoder.time_base = Fraction(1)
    shown.pts = None
    return b"".join(bytes(packet) for packet in [*encoder.encode(shown), *encoder.encode(None)])
