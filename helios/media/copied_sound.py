"""Sound tracks of a file, for a joined video: their packets are copied, with what is said about their run-in."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import io
import struct
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from helios.errors import RequestError
from helios.media.carried import MATROSKA
from helios.media.chunk_sound import skipped_samples
from helios.media.ebml import CLUSTER, CODEC_DELAY, SEGMENT, TIMESTAMP, TRACK, TRACKS, child, element
from helios.media.file_sound import FileTrack
from helios.media.stream_facts import header_of
from helios.media.timing import Timing

OPUS_STEP = 120
"""Opus's packets are as long as a number of 2.5 ms (RFC 6716, section 2.1.4), in samples at 48 kHz."""


class CopiedSound:
    """Copies the packets of a file's track, up to the end of the video.

    Args:
        output: The container, before its first packet.
        source: The track.
        timing: Of the pictures.

    Raises:
        RequestError: There is nothing in it.
    """

    def __init__(self, output: OutputContainer, source: FileTrack, *, timing: Timing) -> None:
        self.warnings: list[str] = []
        """For the report."""
        self._output = output
        self._source = source
        self._timing = timing
        self._packets = _audible(_timed(source), is_shifted=output.format.name in MATROSKA)
        if (first := next(self._packets, None)) is None:
            raise source.nothing_in_it()
        self.warnings += source.run_in_warnings(first, start=(first.pts or 0) * first.time_base)
        self._held: Packet[AudioStream] | None = first
        self._end = 0
        """Where the packets that were copied end, in samples."""
        self._frame_bytes = _frame_bytes(source)
        skipped, _ = skipped_samples(first)
        # FFmpeg counts what HE-AAC skips by the lower rate of its core, and its time stamps by seconds.
        skipped = -first.pts if skipped and first.pts is not None and first.pts < 0 else skipped
        if output.format.name in MATROSKA and skipped and not source.stream.codec_context.delay:
            with _with_delay(source, skipped) as like:
                self._stream = output.add_stream_from_template(like.streams.audio[0], opaque=True)
        else:
            self._stream = output.add_stream_from_template(source.stream, opaque=True)
        source.words.put_on(self._stream)

    def advance(self, *, frames: int) -> None:
        """Copy what begins before `frames` frames of the video were shown."""
        until = round(self._timing.seconds(frames) * self._source.parameters.sample_rate)
        while self._held is not None and (self._held.pts or 0) < until:
            packet, rest = self._cut(self._held, until=until)
            self._held = rest or next(self._packets, None)
            self._end = (packet.pts or 0) + (packet.duration or 0)
            packet.stream = self._stream
            self._output.mux_one(packet)

    def finish(self, *, frames: int) -> None:
        """Say what is missing, after all frames of the video."""
        missing = self._timing.seconds(frames) - Fraction(self._end, self._source.parameters.sample_rate)
        if missing > 1 / self._timing.fps:
            self.warnings.append(self._source.ends_early(float(missing)))

    def _cut(
        self, packet: Packet[AudioStream], *, until: int
    ) -> tuple[Packet[AudioStream], Packet[AudioStream] | None]:
        """A packet up to a sample, and the rest of it; only uncompressed sound can be cut."""
        begin = packet.pts or 0
        size = (until - begin) * self._frame_bytes
        if not 0 < size < packet.size:
            return packet, None
        data, whole = bytes(packet), packet.size // self._frame_bytes
        first = _piece(data[:size], at=begin, samples=until - begin, tick=packet.time_base)
        return first, _piece(data[size:], at=until, samples=begin + whole - until, tick=packet.time_base)


def _piece(data: bytes, *, at: int, samples: int, tick: Fraction) -> Packet[AudioStream]:
    packet: Packet[AudioStream] = Packet(data)  # type: ignore[assignment]
    packet.time_base, packet.pts, packet.dts, packet.duration = tick, at, at, samples
    return packet


def _timed(source: FileTrack) -> Iterator[Packet[AudioStream]]:
    """A track's packets, their times counted from its beginning, to the sample where a file has milliseconds."""
    rate, clock = source.parameters.sample_rate, _Clock(source)
    try:
        for packet in source.container.demux(source.stream):
            if packet.size == 0:
                continue  # PyAV ends each stream with an empty packet
            if packet.pts is None:
                raise RequestError(
                    f"{source.name} has packets without a time stamp, which can't be copied (--audio-codec copy); "
                    "have it encoded (--audio-codec aac)"
                )
            at, samples = clock.next(packet)
            packet.time_base = Fraction(1, rate)
            packet.pts = packet.dts = at
            packet.duration = samples
            yield packet
    except av.FFmpegError as exc:
        raise RequestError(f"{source.name} can't be read to its end ({exc.strerror}); expected a whole file") from exc


def _audible(packets: Iterator[Packet[AudioStream]], *, is_shifted: bool) -> Iterator[Packet[AudioStream]]:
    """Packets without those before the beginning, as where a file's sound begins before its pictures.

    Args:
        packets: Of a track, in order; those of a run-in stay.
        is_shifted: Whether the container moves all tracks where one begins before 0: then no packet may.
    """
    is_begun = False
    for packet in packets:
        at = packet.pts or 0
        is_run_in = packet.is_discard or skipped_samples(packet)[0] > 0
        # A decoder needs the packet before the first one that is heard.
        is_early = at < 0 if is_shifted else at + 2 * (packet.duration or 0) <= 0
        if not is_begun and is_early and not is_run_in:
            continue
        is_begun = True
        yield packet


class _Clock:
    """Counts samples where time stamps are rounded to more than one, as long as both agree."""

    def __init__(self, source: FileTrack) -> None:
        self._start = source.start_seconds
        self._rate = source.parameters.sample_rate
        self._is_opus = source.parameters.codec == "opus"
        self._usual = _packet_samples(source.stream)
        """Samples of a packet, where all have the same number."""
        self._frame_bytes = _frame_bytes(source)
        self._following: int | None = None
        self._longest = 0

    def next(self, packet: Packet[AudioStream]) -> tuple[int, int]:
        """Where a packet begins, and how long it is, in samples."""
        tick = packet.time_base * self._rate
        at = round(((packet.pts or 0) * packet.time_base - self._start) * self._rate)
        samples = round((packet.duration or 0) * tick)
        if tick <= 2:
            return at, samples
        run_in, padding = skipped_samples(packet)
        expected = -run_in if self._following is None and run_in else self._following
        if expected is not None and abs(at - expected) <= 2 * tick:
            at = expected
        if size := self._size(packet, samples):
            samples = size if not padding else max(max(self._longest, size) - padding, 0)
            self._longest = max(self._longest, size)
            self._following = at + samples
        return at, samples

    def _size(self, packet: Packet[AudioStream], samples: int) -> int:
        """Samples of a packet, exactly; 0 where that is not known."""
        if self._frame_bytes:
            return packet.size // self._frame_bytes
        if self._is_opus:
            return round(samples / OPUS_STEP) * OPUS_STEP
        return self._usual


def _packet_samples(stream: AudioStream) -> int:
    context = stream.codec_context
    if context.codec.canonical_name == "flac" and len(context.extradata or b"") >= 4:
        least, most = struct.unpack_from(">HH", context.extradata or b"")  # STREAMINFO (RFC 9639, section 8.2)
        return int(most) if least == most else 0
    return context.frame_size


def _frame_bytes(source: FileTrack) -> int:
    """Bytes of a sample of all channels; 0 for compressed sound."""
    if not source.parameters.is_pcm:
        return 0
    bits = "".join(filter(str.isdigit, source.parameters.codec))
    return int(bits or 8) // 8 * source.stream.codec_context.channels


def _with_delay(source: FileTrack, samples: int) -> InputContainer:
    """A Matroska file without packets whose track is like another, and has a run-in.

    MP4 and MOV have the run-in in their edit list. FFmpeg's muxer writes Matroska's CodecDelay if it stands in the
    track's parameters, which PyAV does not set; FFmpeg's demuxer sets it.

    Raises:
        RequestError: Matroska has no place for the track.
    """
    header = header_of(source.stream, "matroska") or b""
    segment, entry = child(header, SEGMENT), child(header, SEGMENT, TRACKS, TRACK)
    if segment is None or entry is None:
        raise RequestError(f"{source.name} is {source.parameters}, which Matroska has no place for")
    delay = round(Fraction(samples * 1_000_000_000, source.parameters.sample_rate))
    track = element(TRACK, entry.data + element(CODEC_DELAY, delay.to_bytes(8)))
    cluster = element(CLUSTER, element(TIMESTAMP, b"\0"))  # the demuxer looks for one
    file = io.BytesIO(header[: segment.start] + element(SEGMENT, element(TRACKS, track) + cluster))
    return av.open(file, "r", format="matroska")
