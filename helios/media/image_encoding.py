"""Encode the images of a chunk as a video that stands for itself: no picture needs one of another chunk.

The settings are the same for all chunks, so that their videos can follow each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from helios.errors import OutputError, RequestError
from helios.media.image_file import decode_image
from helios.media.verify_images import ImageOrder
from helios.models.image_encoding import ImageEncoding
from helios.models.images import ImageKind, Known

BT709, LIMITED = 1, 1
"""Of H.273: what the video says of its colors; FFmpeg's number of the range from 16 to 235."""
DISPLAY_CURVE = {"apply_trc": "iec61966_2_1"}
"""EXR holds light; what is shown has sRGB's curve, which the decoder applies."""
THREADS = 2
"""Of an encoder: chunks are encoded beside each other."""


@dataclass(frozen=True)
class _Codec:
    encoder: str
    """FFmpeg's name."""
    suffix: str
    """Extension of a chunk's file."""
    pix_fmt: str = "yuv420p"
    """Its pixel format, where none is asked for."""
    quality: str | None = "crf"
    """FFmpeg's name of the option that takes `crf`; None where there is none."""
    preset: str = "preset"
    """FFmpeg's name of the option that takes `preset`."""
    options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options that are always set."""


_CODECS = {
    "x264": _Codec("libx264", ".mp4", options={"x264-params": "open-gop=0"}),
    # What x265 writes into its headers depends on the number of threads.
    "x265": _Codec("libx265", ".mp4", options={"x265-params": "open-gop=0:pools=2:frame-threads=2:log-level=error"}),
    "vp9": _Codec("libvpx-vp9", ".mkv", preset="cpu-used", options={"b": "0"}),
    "prores": _Codec("prores_ks", ".mov", "yuv422p10le", quality=None, preset="profile"),
    "ffv1": _Codec("ffv1", ".mkv", "bgr0", quality=None, options={"level": "3", "slicecrc": "1", "g": "1"}),
}


_USUAL = {".webm": "vp9", ".gif": "ffv1", ".webp": "ffv1"}
"""By the extension of a job's video, what its chunks are encoded with, others with x264; animations are made of it."""


@dataclass(frozen=True)
class VideoOrder:
    """What a chunk's video is to be."""

    encoding: ImageEncoding
    """How it is encoded."""
    fps: Fraction
    """Frames per second."""
    kind: str
    """The extension of the job's video, in small letters."""

    @property
    def codec_name(self) -> str:
        """What is encoded."""
        return self.encoding.codec or _USUAL.get(self.kind, "x264")

    @property
    def suffix(self) -> str:
        """Extension of a chunk's file."""
        return _CODECS[self.codec_name].suffix

    @property
    def digest(self) -> str:
        """Tells these settings from others."""
        text = f"{self.encoding.model_dump_json()} {self.codec_name} {self.fps}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def check(self, *, width: int, height: int) -> None:
        """Refuse what can't be encoded.

        Raises:
            RequestError: Says what was expected.
        """
        codec, encoding = _CODECS[self.codec_name], self.encoding
        if encoding.crf is not None and codec.quality is None:
            raise RequestError(f"{self.codec_name} has no crf (encode.crf); leave it out")
        name = encoding.pix_fmt or codec.pix_fmt
        formats = {form.name: form for form in av.Codec(codec.encoder, "w").video_formats or ()}
        if name not in formats:
            known = ", ".join(sorted(formats))
            raise RequestError(f"{self.codec_name} does not take {name} (encode.pixFmt); expected one of {known}")
        across, down = 64 // formats[name].chroma_width(64), 64 // formats[name].chroma_height(64)
        if width % across or height % down:
            raise RequestError(
                f"Images of {width}×{height} pixels can't be encoded as {name}, which has one color for {across}×{down}"
                f" of them; render them in an even size, or name a format such as yuv444p (encode.pixFmt)"
            )


def encode_sequence(
    paths: Sequence[Path],
    *,
    known: Sequence[Known],
    kind: ImageKind,
    images: ImageOrder,
    order: VideoOrder,
    output: Path,
) -> None:
    """Encode images, in their order, with constant steps between them.

    Args:
        paths: The images.
        known: Size and digest of each, as it was accepted.
        kind: What they are.
        images: What they were ordered as.
        order: What is wanted.
        output: The video; its extension tells the container.

    Raises:
        OutputError: An image was changed since it was accepted.
        RequestError: The encoder refuses its settings.
    """
    is_deep = order.codec_name == "ffv1" and kind.depth != "8 bits"
    form = order.encoding.pix_fmt or ("gbrp16le" if is_deep else _CODECS[order.codec_name].pix_fmt)
    pictures = (_read(path, accepted, images) for path, accepted in zip(paths, known, strict=True))
    encode_pictures(pictures, size=(images.width, images.height), order=order, form=form, output=output)


def encode_pictures(
    pictures: Iterable[VideoFrame], *, size: tuple[int, int], order: VideoOrder, output: Path, form: str | None = None
) -> None:
    """Encode pictures, in their order, with constant steps between them.

    Args:
        pictures: What is shown.
        size: Width and height of each, in pixels.
        order: What is wanted.
        output: The video; its extension tells the container.
        form: FFmpeg's name of the pixel format, where the order names none; the codec's usual one if None.

    Raises:
        RequestError: The encoder refuses its settings.
    """
    codec, encoding = _CODECS[order.codec_name], order.encoding
    form = encoding.pix_fmt or form or codec.pix_fmt
    options = dict(codec.options)
    if encoding.crf is not None and codec.quality is not None:
        options[codec.quality] = encoding.crf
    if encoding.preset is not None:
        options[codec.preset] = encoding.preset
    shown = _showing(form)
    try:
        with av.open(str(output), "w") as video:
            stream = video.add_stream(codec.encoder, rate=order.fps, options=options)
            assert isinstance(stream, VideoStream)  # noqa: S101  narrows the type
            (stream.width, stream.height), stream.pix_fmt = size, form
            context = stream.codec_context
            context.time_base, context.thread_count = 1 / order.fps, THREADS
            context.color_primaries = context.color_trc = BT709
            if not av.VideoFormat(form).is_rgb:
                context.colorspace, context.color_range = BT709, LIMITED
            count = 0
            for count, picture in enumerate(pictures, start=1):
                frame = shown(picture)
                frame.pts, frame.time_base = count - 1, 1 / order.fps
                video.mux(stream.encode(frame))
            for packet in stream.encode(None):
                if count == 1:
                    packet.dts = packet.pts  # libx265 gives a single frame a decoding time that it never set
                video.mux(packet)
    except (av.FFmpegError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise RequestError(f"The images can't be encoded with {order.codec_name} ({encoding}): {reason}") from exc


def _showing(form: str) -> Callable[[VideoFrame], VideoFrame]:
    """Turns pictures into a pixel format; JPEG and WebP have the matrix of BT.601."""
    if av.VideoFormat(form).is_rgb:
        return lambda picture: picture.reformat(format=form)
    return lambda picture: picture.reformat(
        format=form,
        src_colorspace=Colorspace.ITU601,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _read(path: Path, accepted: Known, order: ImageOrder) -> VideoFrame:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise OutputError(f"{path.name} can't be read any more: {exc.strerror}") from exc
    if (len(data), hashlib.sha256(data).hexdigest()) != accepted:
        raise OutputError(f"{path.name} was changed since it was accepted: another program writes to the same file")
    options = DISPLAY_CURVE if order.pattern.codec == "exr" else None
    return decode_image(data, codec=order.pattern.codec, name=path.name, options=options)
