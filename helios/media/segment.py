"""A segment of a growing video: a chunk's packets, copied into fragmented MP4 at their place in the video.

HLS players take such segments (fMP4) one after the other. Each is written by itself, whatever was written before: its
first decoding time follows from the number of its first frame, so that it continues the segment before it exactly.
No time of a segment may be negative, though with B-frames decoding begins before time 0: all of the pictures' times are
later by that, and an edit list in the header takes it back. Negative composition offsets would need no edit list, but
FFmpeg's own demuxer then shows everything late.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from helios.media.carried import add_video
from helios.media.chunk_file import ChunkFile
from helios.media.header_apart import HeaderApart
from helios.media.opening import open_media
from helios.media.parameters import AudioParameters
from helios.media.segment_sound import flac, own_sound, sound_packets
from helios.media.soundtrack import Soundtrack
from helios.media.span import Span
from helios.media.stream_facts import UNOFFICIAL

PLAYED = frozenset({"h264", "hevc", "av1", "vp9"})
"""Codecs that fMP4 carries in HLS, and players play; FFmpeg's names."""
OPTIONS = UNOFFICIAL | {
    "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
"""Of FFmpeg's muxer: the header first, then one fragment, whose time is that of its first packet."""
HEADER_OPTIONS = UNOFFICIAL | {
    "movflags": "empty_moov+delay_moov+default_base_moof+frag_custom+skip_trailer",
    "use_editlist": "1",
    "avoid_negative_ts": "disabled",
}
"""The same, with the edit list, which FFmpeg knows once it has seen a packet."""


@dataclass(frozen=True)
class Written:
    """What became of a segment."""

    codec: str
    """Of its pictures; FFmpeg's name."""
    is_written: bool
    """Whether it is there: not if players do not take its codec."""
    size: int = 0
    """Bytes."""


def write_segment(
    chunk: Path,
    *,
    place: Path,
    span: Span,
    header: Path | None = None,
    own: AudioParameters | None = None,
    sound: Path | None = None,
) -> Written:
    """Write an accepted chunk as a segment; the file has its name when it is whole.

    Args:
        chunk: The chunk's file.
        place: The segment, in a folder that is there.
        span: Where the chunk lies.
        header: Where the initialization segment goes, which is the same for all; None where it is there already.
        own: Format of the chunks' own sound, if that is wanted. A chunk without sound gets silence.
        sound: A file of `write_sound`, where the sound comes from that instead.

    Raises:
        OutputError: The chunk can't be read.
        OSError: The segment can't be written.
    """
    with ChunkFile(chunk, fps=span.fps, frames=span.frames) as file:
        codec = file.video.codec_context.codec.canonical_name
        if codec not in PLAYED:
            return Written(codec, is_written=False)
        temporary = place.with_name(f".{place.name}.part")
        with temporary.open("wb") as output:
            _write(file, HeaderApart(output), span=span, own=own, sound=sound)
            size = output.tell()
        if header is not None:
            header.write_bytes(_header(chunk, span=span, own=own, sound=sound))
        temporary.replace(place)
    return Written(codec, is_written=True, size=size)


def _write(
    file: ChunkFile, target: HeaderApart, *, span: Span, own: AudioParameters | None, sound: Path | None
) -> None:
    # A file without a way to seek: what is written stays where it is.
    with av.open(target, "w", format="mp4", container_options=OPTIONS) as output:
        pictures = add_video(output, file.video, file.said, fps=span.fps, tick=span.tick)
        laid = own_sound(output, own, span) if own is not None and sound is None else None
        copied = sound_packets(output, sound, span) if sound is not None else iter(())
        first_sound = next(copied, None)  # the track is made before the header
        output.start_encoding()
        ahead, decoded = file.video.codec_context.reorder_depth, 0
        late = ahead * span.step
        for packet, index in file.packets():
            if index is None:
                if laid is not None:
                    laid.feed(packet, file, frames=span.first)
                continue
            begins, ends = (span.stamp(number - ahead) for number in (decoded, decoded + 1))
            _mux(output, packet, pictures, tick=span.tick, shown=span.stamp(index) + late, decoded=begins + late,
                 duration=ends - begins)  # fmt: skip
            decoded += 1
        if laid is not None:
            laid.end_chunk(file.path.name, file, frames=span.first)
            laid.finish(frames=span.first + span.frames)
        for one in (first_sound, *copied) if first_sound is not None else ():
            output.mux_one(one)


def _header(chunk: Path, *, span: Span, own: AudioParameters | None, sound: Path | None) -> bytes:
    """The initialization segment: what the first frame is told by."""
    target = HeaderApart(BytesIO())
    with (
        ChunkFile(chunk, fps=span.fps, frames=span.frames) as file,
        av.open(target, "w", format="mp4", container_options=HEADER_OPTIONS) as output,
    ):
        pictures = add_video(output, file.video, file.said, fps=span.fps, tick=span.tick)
        if sound is not None:
            with open_media(sound) as source:
                output.add_stream_from_template(source.streams.audio[0], opaque=True)
        elif own is not None:
            Soundtrack(output, source=own, encoder=flac(own))
        output.start_encoding()
        packet = next(packet for packet, index in file.packets() if index is not None)
        late = file.video.codec_context.reorder_depth * span.step
        _mux(output, packet, pictures, tick=span.tick, shown=0, decoded=-late, duration=span.step)
    return bytes(target.header)


def _mux(
    output: OutputContainer, packet: Packet[Stream], stream: VideoStream, *, tick: Fraction, shown: int, decoded: int,
    duration: int,
) -> None:  # fmt: skip
    packet.stream, packet.time_base = stream, tick
    packet.pts, packet.dts, packet.duration = shown, decoded, duration
    output.mux_one(packet)
