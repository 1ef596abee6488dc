"""Say about a chunk's pictures what the source says about its own: PyAV sets little of it on an encoder's stream."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from helios.encode.hdr import Hdr10
from helios.media.carried import MATROSKA
from helios.media.ebml import CLUSTER, SEGMENT, TIMESTAMP, TRACK, TRACKS, VIDEO, child, element, elements, video_track
from helios.media.matroska_aspect import with_room, write_aspect
from helios.media.stream_facts import COLOUR, PROJECTION, SITING, STEREO_MODE, header_of

INTERLACED = (0x9A, 0x9D)
"""Matroska's numbers of: whether pictures have fields, and which comes first."""


@dataclass(frozen=True)
class Words:
    """What is to be said."""

    own: dict[int, bytes]
    """Elements of Matroska's description of the pictures, by number."""
    colour: bytes
    """Elements of its description of their colours."""
    aspect: Fraction
    """Shape of a pixel."""

    @classmethod
    def of(cls, source: VideoStream, *, hdr: Hdr10, has_fields: bool, aspect: Fraction) -> Words:
        """What a source says.

        Args:
            source: Its stream.
            hdr: What it says of HDR.
            has_fields: Whether pictures are encoded as fields.
            aspect: Shape of a pixel of the encoded pictures.
        """
        track = video_track(header_of(source, "matroska") or b"")
        said = child(track.data, VIDEO) if track else None
        words = {one.id: one.data for one in elements(said.data)} if said else {}
        wanted = (STEREO_MODE, PROJECTION, *(INTERLACED if has_fields else ()))
        own = {number: words[number] for number in wanted if number in words}
        return cls(own, hdr.elements() + _siting(words.get(COLOUR, b"")), aspect)

    def put_into(self, path: Path, *, rate: Fraction) -> None:
        """Write a chunk's file anew, with these words; its packets stay as they are.

        Args:
            path: The file.
            rate: Frames per second.
        """
        is_matroska = path.suffix == ".mkv"
        if not (self.own or self.colour or (is_matroska and self.aspect != 1)):
            return
        worded = path.with_name(f"{path.stem}.worded{path.suffix}")
        try:
            self._copy(path, worded, rate=rate)
            if is_matroska and self.aspect != 1:
                write_aspect(worded, self.aspect, name="")
            worded.replace(path)
        finally:
            worded.unlink(missing_ok=True)

    def _copy(self, path: Path, worded: Path, *, rate: Fraction) -> None:
        with av.open(str(path)) as plain:
            stream = plain.streams.video[0]
            like = self._template(stream)
            try:
                with av.open(str(worded.absolute()), "w") as output:
                    copy = output.add_stream_from_template(like.streams.video[0] if like else stream, opaque=True)
                    copy.time_base = stream.time_base
                    copy.codec_context.framerate = rate
                    copy.codec_context.sample_aspect_ratio = self.aspect
                    if output.format.name in MATROSKA and self.aspect != 1:
                        copy.metadata["title"] = with_room("")
                    for packet in plain.demux(stream):
                        if packet.size:
                            packet.stream = copy
                            output.mux_one(packet)
            finally:
                if like is not None:
                    like.close()

    def _template(self, stream: VideoStream) -> InputContainer | None:
        """A Matroska file without packets whose track is like a stream, with these words."""
        header = header_of(stream, "matroska") or b""
        entry, segment = video_track(header), child(header, SEGMENT)
        if entry is None or segment is None:
            return None
        tracks = element(TRACKS, element(TRACK, _with(entry.data, self.own, self.colour)))
        cluster = element(CLUSTER, element(TIMESTAMP, b"\0"))  # the demuxer looks for one
        file = io.BytesIO(header[: segment.start] + element(SEGMENT, tracks + cluster))
        with suppress(av.FFmpegError):
            return av.open(file, "r", format="matroska")
        return None


def _siting(colour: bytes) -> bytes:
    return b"".join(element(one.id, one.data) for one in elements(colour) if one.id in SITING)


def _with(track: bytes, own: dict[int, bytes], colour: bytes) -> bytes:
    """A track's entry with further words about its pictures."""
    found = b""
    for one in elements(track):
        if one.id != VIDEO:
            found += element(one.id, one.data)
            continue
        parts = {part.id: part.data for part in elements(one.data)} | own
        if colour:
            new = {part.id for part in elements(colour)}
            kept = [part for part in elements(parts.get(COLOUR, b"")) if part.id not in new]
            parts[COLOUR] = b"".join(element(part.id, part.data) for part in kept) + colour
        found += element(VIDEO, b"".join(element(number, data) for number, data in parts.items()))
    return found
