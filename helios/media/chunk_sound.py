"""The sound of one chunk, decoded: what its encoder put in front and behind is left out, to the sample.

Lossy encoders begin with a run-in (AAC of FFmpeg: 1024 samples, of Apple: 2112, Opus: 312), since each of their packets
needs the one before, and end with a whole packet. How long the run-in is stands in the container: in the edit list of
MP4 and MOV, in Matroska's CodecDelay, and for Opus also in its own header. FFmpeg's demuxers hand it to the decoder,
which leaves it out. What they do not do is done here.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import struct
from collections.abc import Iterator
from enum import Enum, auto
from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.itunes_tag import stated_run_in

LONGEST_RUN_IN = 2.5
"""Packets. Sound that begins further in front of the pictures was encoded with an overlap."""
SMOOTH = {"opus"}
"""Lossy codecs that hardly get worse where sound begins or ends at once, as it does at the ends of a chunk."""
WITHOUT_RUN_IN = {"vorbis"}
"""Lossy codecs whose decoder tells where the sound begins."""
HE_AAC = {"HE-AAC", "HE-AACv2"}
"""FFmpeg's names of the profiles of AAC whose upper half, or whose second channel, the decoder makes up."""


class RunIn(Enum):
    """How well it is known where a chunk's sound begins."""

    KNOWN = auto()
    """To the sample."""
    ROUNDED = auto()
    """To a tick of the file's clock: a millisecond in Matroska."""
    AMBIGUOUS = auto()
    """But for the delay of HE-AAC's decoder, which some encoders count (FFmpeg's libfdk_aac) and others do not."""
    UNKNOWN = auto()
    """Not at all: the run-in is heard."""


class Piece(NamedTuple):
    """A decoded frame, and where it belongs."""

    frame: AudioFrame
    """Samples."""
    at: int | None
    """Samples since the chunk's first frame was shown; None for behind the one before."""
    slack: int
    """Samples by which that may be wrong, because of rounded time stamps."""


class ChunkSound:
    """Decodes the sound of a chunk, packet by packet.

    Args:
        chunk: With a sound track, before its first packet.
    """

    def __init__(self, chunk: ChunkFile) -> None:
        assert chunk.audio is not None  # noqa: S101  the caller has looked
        assert chunk.audio_parameters is not None  # noqa: S101
        self.run_in = RunIn.KNOWN
        """How well it is known where it begins; right once a packet was taken."""
        self.packet_samples = 0
        """Samples of a packet; 0 for a lossless codec, whose length is exact."""
        self.is_overlapping = False
        """Whether it begins further in front of the pictures than any run-in."""
        self.is_rough = not chunk.audio_parameters.is_lossless and chunk.audio_parameters.codec not in SMOOTH
        """Whether its codec makes noise where sound begins or ends at once."""
        self._chunk = chunk
        self._stream = chunk.audio
        self._decoder = chunk.audio.codec_context
        self._codec = chunk.audio_parameters.codec
        self._rate = chunk.audio_parameters.sample_rate
        self._is_lossy = not chunk.audio_parameters.is_lossless
        self._first: Packet[Stream] | None = None
        self._shift: int | None = None
        """Samples by which the sound's time stamps are wrong; None before the first frame."""

    def take(self, packet: Packet[Stream]) -> Iterator[Piece]:
        """Decode a packet.

        Raises:
            OutputError: It can't be decoded.
        """
        self._first = self._first or packet
        end = None
        if packet.pts is not None and packet.duration and self._is_lossy and self._ticks_per_sample(packet) >= 0.5:
            end = (packet.pts + packet.duration) * packet.time_base
        for frame in self._decode(packet):
            yield from self._place(frame, end)

    def rest(self) -> Iterator[Piece]:
        """What the decoder still holds, after the last packet."""
        for frame in self._decode(None):
            yield from self._place(frame, None)

    def _decode(self, packet: Packet[Stream] | None) -> list[AudioFrame]:
        try:
            return self._decoder.decode(packet)
        except av.FFmpegError as exc:
            where = "" if packet is None else f" at {float((packet.pts or 0) * packet.time_base):.3f} s"
            raise OutputError(
                f"{self._chunk.path.name} is damaged: its sound{where} can't be decoded ({exc.strerror})"
            ) from exc

    def _ticks_per_sample(self, packet: Packet[Stream]) -> Fraction:
        return 1 / (packet.time_base * self._rate)

    def _place(self, frame: AudioFrame, end: Fraction | None) -> Iterator[Piece]:
        if frame.pts is None or frame.time_base is None:
            yield Piece(frame, None, 0)
            return
        if self._is_lossy:
            self.packet_samples = max(self.packet_samples, frame.samples)
        stamp = frame.pts * frame.time_base
        # Of two time stamps, both rounded to the file's ticks.
        slack = 2 * -(-frame.time_base.numerator * self._rate // frame.time_base.denominator)
        at = round((stamp - self._chunk.start_seconds) * self._rate)
        if self._shift is None:
            self._shift = self._look(at, stamp, slack) if self._is_lossy else 0
            if self._decoder.profile in HE_AAC and self.run_in is not RunIn.UNKNOWN:
                self.run_in = RunIn.AMBIGUOUS
        # The last packet of MP4 and MOV says how much of it counts; in Matroska the decoder is told.
        kept = frame.samples if end is None else round((end - stamp) * self._rate)
        if 0 < kept < frame.samples:
            frame = _beginning(frame, kept)
        yield Piece(frame, at + self._shift, slack)

    def _look(self, at: int, stamp: Fraction, slack: int) -> int:
        """See how far the first frame is from where it belongs, and how well that is known."""
        packet = self._first
        if packet is None or packet.pts is None:
            return 0
        begins = round((packet.pts * packet.time_base - self._chunk.start_seconds) * self._rate)
        size = self._decoder.frame_size or self.packet_samples
        self.is_overlapping = begins < -LONGEST_RUN_IN * size
        if begins == 0 and at and at == stated_run_in(self._stream):
            return -at
        if packet.is_discard or packet.has_sidedata("skip_samples"):
            if slack < skipped_samples(packet)[0] and abs(at + skipped_samples(packet)[0]) <= slack:
                return -at  # FFmpeg 5.1 moves the pictures, as below, and states the run-in as well
            # The sound begins before the pictures, and not by a whole number of ticks: an overlap.
            self.run_in = RunIn.ROUNDED if at < -slack and slack > 2 else RunIn.KNOWN
            return 0
        if self._codec == "opus":
            # Only its own header says it: then the time stamp is that of the first sample that counts.
            return begins - at if begins <= at else 0
        if self._codec in WITHOUT_RUN_IN:
            return 0
        if begins >= -slack // 2:
            # Sound that begins later than the pictures has its run-in before the time at which it is to be heard.
            self.run_in = RunIn.UNKNOWN if begins <= slack else RunIn.KNOWN
            return 0
        if slack <= 2:
            return 0
        # FFmpeg 5.1 moves everything in Matroska, so that no time stamp is negative: the pictures
        # begin as much later as the run-in is long, in whole milliseconds. It is as long as a number of packets.
        whole = round(begins / size) * size if size else begins
        if abs(whole - begins) > slack:
            self.run_in = RunIn.ROUNDED
            return 0
        return whole - begins


def skipped_samples(packet: Packet[Any]) -> tuple[int, int]:
    """Samples at the beginning and at the end of a packet that are not to be heard."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    return struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))


def _beginning(frame: AudioFrame, samples: int) -> AudioFrame:
    """The first samples of a frame."""
    frame.pts = None
    cutter = AudioFifo()
    cutter.write(frame)
    return cast(AudioFrame, cutter.read(samples))
