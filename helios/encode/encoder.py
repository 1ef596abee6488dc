"""The encoder of a chunk, and the file that it writes: an encode that needs no picture of another chunk."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import os
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from helios.encode.hdr import Hdr10
from helios.encode.recipe import Recipe
from helios.encode.settings_check import check_options, settings_checked
from helios.encode.words import Words
from helios.errors import RequestError
from helios.media.stream_facts import StreamFacts

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
FIELDS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
"""FFmpeg's numbers of field orders: x264's names of the field that comes first."""
UNSAID = (None, 0, 2)
"""Numbers of colours that say nothing."""


@dataclass(frozen=True)
class EncoderOrder:
    """What is asked of an encoder."""

    recipe: Recipe
    """Its settings."""
    rate: Fraction
    """Frames per second that the file states."""
    pixel_format: str
    """FFmpeg's name of the pictures' format."""
    aspect: Fraction
    """Shape of a pixel."""
    lead_in: int = 0
    """So many times it is given the first picture before; what it writes of them is dropped."""
    is_trial: bool = False
    """Whether settings that it would pass over are refused."""


class ChunkEncoder:
    """An encoder and the file that it writes.

    Args:
        output: The file.
        order: What is asked of it.
        source: The source's pictures, for what is said about them.
        like: The first one of them.
    """

    def __init__(self, output: Path, order: EncoderOrder, *, source: VideoStream, like: VideoFrame) -> None:
        self._output, self._order, self._recipe, self._lead_in = output, order, order.recipe, order.lead_in
        self._tick = 1 / order.rate
        self._source = source
        facts = StreamFacts.of(source)
        self._hdr = Hdr10.of(facts, like)
        self._has_fields = order.recipe.keeps_fields and facts.field_order != "progressive"
        self._words = Words.of(source, hdr=self._hdr, has_fields=self._has_fields, aspect=order.aspect)
        self._file: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._is_begun = False

    def lead_in(self, first: VideoFrame) -> None:
        """Have the encoder begin with pictures that the chunk has not, so that its first key frame is as later ones."""
        for number in range(self._lead_in):
            self.encode(first, at=number - self._lead_in)

    def encode(self, frame: VideoFrame, *, at: int) -> None:
        """Encode a picture as the frame of this number; those before 0 are the lead-in."""
        stream = self._stream or self._open(frame)
        frame.pts, frame.time_base = at + self._lead_in, self._tick
        # 0, for its own choice: else the source's kind of picture is an order.
        frame.pict_type = PictureType.I if at == 0 and self._lead_in else PictureType.NONE
        self._write(stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds, and the file's index."""
        assert self._stream is not None and self._file is not None  # noqa: S101, PT018  a range has frames
        self._write(self._stream.encode(None))
        self._file.close()
        self._file = None
        self._words.put_into(self._output, rate=self._order.rate)

    def close(self) -> None:
        """Close the file, whatever became of it."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _open(self, frame: VideoFrame) -> VideoStream:
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1's errors alone: else it prints 30 lines about itself
        own = self._hdr.settings(self._recipe.how)
        if self._has_fields:
            own[FIELDS[self._source.codec_context.field_order]] = "1"
        options = self._recipe.options(own=own, pixel_format=self._order.pixel_format)
        self._file = av.open(str(self._output.absolute()), "w", format=CONTAINERS[self._output.suffix])
        stream = self._file.add_stream(self._recipe.how.encoder, rate=self._order.rate, options=options)
        assert isinstance(stream, VideoStream)  # noqa: S101  narrows the type: all are video encoders
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, self._order.pixel_format
        context, source = stream.codec_context, self._source.codec_context
        context.time_base, context.thread_count = self._tick, self._recipe.threads
        context.sample_aspect_ratio = self._order.aspect
        context.color_range = frame.color_range or source.color_range
        context.color_primaries = _said(frame.color_primaries, source.color_primaries)
        context.color_trc = _said(frame.color_trc, source.color_trc)
        context.colorspace = _said(frame.colorspace, source.colorspace)
        try:
            with settings_checked(self._recipe) if self._order.is_trial else nullcontext():
                self._file.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as exc:
            raise RequestError(
                f"{self._recipe.codec} refuses these pictures ({frame.width}×{frame.height} "
                f"{self._order.pixel_format}) or settings ({options}): {getattr(exc, 'strerror', None) or exc}"
            ) from None
        check_options(self._recipe, given=options, left=context.options)
        self._stream = stream
        return stream

    def _write(self, packets: list[av.Packet]) -> None:  # type: ignore[type-arg]
        assert self._file is not None  # noqa: S101  opened with the encoder
        for packet in packets:
            if self._is_of_lead_in(packet):
                continue
            if packet.dts is None or packet.dts > (packet.pts or 0):
                packet.dts = packet.pts  # libx265 gives a single frame a decoding time that it never set
            if self._lead_in and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts - self._lead_in, packet.dts - self._lead_in
            self._file.mux_one(packet)

    def _is_of_lead_in(self, packet: av.Packet) -> bool:  # type: ignore[type-arg]
        """Whether a packet has a picture that the chunk has not.

        Raises:
            RequestError: The chunk does not begin with a key frame, or the encoder mixes the two.
        """
        is_before = self._lead_in > (packet.pts or 0)
        if self._lead_in and (is_before if self._is_begun else not is_before and not packet.is_keyframe):
            raise RequestError(
                f"{self._recipe.how.encoder} writes no key frame where it is told to, with the settings "
                f"{self._recipe.params!r} (--params); expected settings with which it does"
            )
        self._is_begun = not is_before
        return is_before


def _said(own: int, otherwise: int) -> int:
    """What a picture says of its colours, if it says something."""
    return otherwise if own in UNSAID else own
