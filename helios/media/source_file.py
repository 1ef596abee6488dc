"""What a video takes from the file that its chunks are encoded from: subtitles, chapters, attachments, tags.

Sound is `helios.media.file_sound`'s and `copied_sound`'s. Everything is copied once, when the chunks are joined.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream

from helios.errors import RequestError
from helios.media.carried import MATROSKA, Said, Track
from helios.media.chapters import Chapter, chapters_of
from helios.media.chunk_file import moving_pictures
from helios.media.opening import open_media
from helios.media.parameters import VideoParameters
from helios.media.timing import Timing
from helios.models.source import Source


class SourceFile:
    """The source of a video that is being written.

    Args:
        path: The file.
        order: What is taken from it.

    Raises:
        RequestError: It can't be read.
    """

    def __init__(self, path: Path, order: Source) -> None:
        self.warnings: list[str] = []
        """For the report."""
        self.chapters: list[Chapter] = []
        """In the video's time; once writing has begun."""
        self.times = order.times
        """Of the video's frames, where they have no constant rate."""
        self._path, self._order = path, order
        try:
            self._container: InputContainer = open_media(path)
        except (av.FFmpegError, OSError) as exc:
            raise RequestError(f"The source {path} can't be read: {exc.strerror}; expected the file it was") from None
        self._timing = Timing(Fraction(1))
        self._copies: dict[int, Stream] = {}
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._held: Packet[Stream] | None = None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def said(self, chunk: Said) -> Said:
        """What the video says: what a chunk says about its pictures, and the source about everything else."""
        video = moving_pictures(self._container)[0]
        own = Said.of(self._container, video, None, facts=VideoParameters.of(video).facts)
        tags = {key: value for key, value in own.video.tags.items() if key.lower() != "encoder"}
        is_same_clock = self._order.times is None
        return replace(
            chunk,
            tags=own.tags,
            video=replace(own.video, tags=tags),
            timecode=own.timecode if is_same_clock else "",
        )

    def begin(self, output: OutputContainer, *, timing: Timing) -> None:
        """Add the tracks that the container has a place for, before its first packet."""
        self._timing = timing
        left: list[str] = []
        for stream in self._container.streams:
            is_cover = bool(stream.disposition & Disposition.attached_pic)
            if isinstance(stream, AttachmentStream):
                if output.format.name == "matroska":
                    output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data or b"")
                else:
                    left.append(f"attachment {stream.name}")
            elif stream.type == "subtitle" or is_cover:
                self._add(output, stream, left)
            elif stream.type == "data" and "timecode" not in stream.metadata:
                left.append("data")
        self._note_left(left, output)
        for stream in self._container.streams:
            stream.discard = Discard.default if stream.index in self._copies else Discard.all
        self.chapters = self._chapters()
        if self._copies:
            streams = [self._container.streams[index] for index in self._copies]
            self._packets = self._timed(streams)
            self._held = next(self._packets, None)

    def advance(self, *, frames: int) -> None:
        """Copy what begins before `frames` frames of the video were shown."""
        until = self._timing.seconds(frames)
        while self._held is not None and (self._held.pts or 0) * self._held.time_base < until:
            packet, self._held = self._held, next(self._packets, None)
            copy = self._copies[packet.stream_index]
            packet.stream = copy
            copy.container.mux_one(packet)  # type: ignore[attr-defined]

    def _add(self, output: OutputContainer, stream: Stream, left: list[str]) -> None:
        what = "cover picture" if stream.disposition & Disposition.attached_pic else "subtitles"
        codec = getattr(stream, "codec_context", None)
        name = f"{what} ({codec.codec.canonical_name})" if codec else what
        if not has_place(output.format.name, stream):
            left.append(name)
            return
        copy = output.add_stream_from_template(stream, opaque=True)
        Track.of(stream).put_on(copy)  # type: ignore[arg-type]
        self._copies[stream.index] = copy

    def _note_left(self, left: list[str], output: OutputContainer) -> None:
        if left:
            advice = "" if output.format.name in MATROSKA else "; .mkv takes subtitles and attachments"
            self.warnings.append(
                f"{self._path.name} has what {output.format.name} has no place for, and is left out: "
                f"{', '.join(left)}{advice}"
            )

    def _chapters(self) -> list[Chapter]:
        start = self._order.start
        found = chapters_of(self._container, at=-start, seconds=None)
        return [replace(one, start=max(one.start, Fraction(0))) for one in found if one.end > 0]

    def _timed(self, streams: list[Stream]) -> Iterator[Packet[Stream]]:
        """Packets with their times in the video; a cover picture is at its beginning."""
        try:
            for packet in self._container.demux(streams):
                if not packet.size:
                    continue
                if packet.stream.disposition & Disposition.attached_pic:
                    packet.pts = packet.dts = 0
                else:
                    shift = round(self._order.start / packet.time_base)
                    packet.pts = packet.dts = (packet.pts or 0) - shift
                    if packet.pts + (packet.duration or 0) <= 0:
                        continue
                    packet.pts = packet.dts = max(packet.pts, 0)
                yield packet
        except (av.FFmpegError, OSError) as exc:
            raise RequestError(f"{self._path.name} can't be read to its end: {exc.strerror}") from exc


@dataclass(frozen=True)
class FromSource:
    """What a video takes from a file, and where that file is."""

    order: Source
    """What is taken."""
    path: Path
    """The file."""


@contextmanager
def open_source_file(source: FromSource | None) -> Iterator[SourceFile | None]:
    """Open what a video is made from; nothing where it is made of its chunks alone."""
    if source is None:
        yield None
        return
    file = SourceFile(source.path, source.order)
    try:
        yield file
    finally:
        file.close()


def has_place(container: str, stream: Stream) -> bool:
    """Whether a container has a place for copies of a track."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
        return True
    except (av.FFmpegError, ValueError):
        return False
