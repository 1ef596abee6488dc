"""All sound of a joined video, frame by frame of its pictures: of its chunks, or of one file."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Protocol

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from helios.errors import RequestError
from helios.media.carried import Track
from helios.media.chunk_file import ChunkFile
from helios.media.chunks_sound import ChunksSound
from helios.media.containers import container_of
from helios.media.copied_sound import CopiedSound
from helios.media.file_sound import FileSound, FileTrack, open_tracks
from helios.media.parameters import AudioParameters
from helios.media.sound_order import SoundCodec, SoundOrder
from helios.media.soundtrack import Soundtrack
from helios.media.stream_facts import header_of
from helios.media.timing import Timing
from helios.media.write_errors import write_errors


class _Part(Protocol):
    """One track of the video."""

    warnings: list[str]
    """For the report, once it is finished."""

    def advance(self, *, frames: int) -> None: ...

    def finish(self, *, frames: int) -> None: ...


class JoinedSound:
    """The sound tracks of a video that is being written.

    Args:
        output: The container, before its first packet.
        video: The video's own path: its name tells the container.
        order: What is wanted.
        own: Format of the chunks' sound; None where they have none.
        words: What is said about it.
        language: Of tracks of a sound file that state none.
        timing: Of the pictures.

    Raises:
        RequestError: The sound file can't be used.
    """

    def __init__(
        self,
        output: OutputContainer,
        *,
        video: Path,
        order: SoundOrder,
        own: AudioParameters | None,
        words: Track | None,
        language: str | None = None,
        timing: Timing,
    ) -> None:
        self.tracks: list[Track | None] = []
        """What is said about each track."""
        self._parts: list[_Part] = []
        self._chunks: ChunksSound | None = None
        self._files = ExitStack()
        try:
            if order.file is not None:
                for source in open_tracks(order.file, order):
                    self._files.callback(source.close)
                    if language is not None and source.words.language == "und":
                        source.words = replace(source.words, language=language)
                    self._parts.append(_part_of_file(output, source, video=video, order=order, timing=timing))
                    self.tracks.append(source.words)
            elif own is not None:
                track = Soundtrack(output, source=own, encoder=order.encoder(video, own))
                if words is not None:
                    words.put_on(track.stream)
                self._chunks = ChunksSound(track, fps=timing.fps)
                self._parts, self.tracks = [self._chunks], [words]
        except BaseException:
            self.close()
            raise

    def feed(self, packet: Packet[Stream], chunk: ChunkFile, *, frames: int) -> None:
        """Take a packet of a chunk's sound, before which there are `frames` frames of the video."""
        if self._chunks is not None:
            self._chunks.feed(packet, chunk, frames=frames)

    def end_chunk(self, name: str, chunk: ChunkFile, *, frames: int) -> None:
        """Complete the sound up to the end of a chunk, before which there are `frames` frames of the video."""
        if self._chunks is not None:
            self._chunks.end_chunk(name, chunk, frames=frames)
        else:
            self.advance(frames=frames + chunk.frames)

    def advance(self, *, frames: int) -> None:
        """Write what does not come from chunks up to where `frames` frames of the video were shown."""
        for part in self._parts:
            if part is not self._chunks:
                part.advance(frames=frames)

    def begin(self) -> None:
        """Write a moment of sound, or of silence: enough to have everything opened that will be used."""
        for part in self._parts:
            part.advance(frames=1)

    def finish(self, *, frames: int) -> list[str]:
        """Write what the encoders hold, after all frames of the video; return warnings for the report."""
        for part in self._parts:
            part.finish(frames=frames)
        return [warning for part in self._parts for warning in part.warnings]

    def close(self) -> None:
        """Close the sound file."""
        self._files.close()


def check_sound_file(order: SoundOrder, output: Path) -> None:
    """Refuse a sound file that can't be put into a video, by putting a moment of it into one.

    Args:
        order: With a file.
        output: The video, whose name tells the container. It is not touched.

    Raises:
        RequestError: Says what is wrong with the file, or what works instead.
    """
    with (
        write_errors(output, f"the sound of {order.file}"),
        av.open(BytesIO(), "w", format=container_of(output)[0]) as container,
    ):
        sound = JoinedSound(container, video=output, order=order, own=None, words=None, timing=Timing(Fraction(10)))
        try:
            container.start_encoding()
            sound.begin()
            sound.finish(frames=1)
        finally:
            sound.close()


def _part_of_file(
    output: OutputContainer, source: FileTrack, *, video: Path, order: SoundOrder, timing: Timing
) -> FileSound | CopiedSound:
    if order.codec is SoundCodec.COPY:
        _check_copy(source, video)
        return CopiedSound(output, source, timing=timing)
    track = Soundtrack(output, source=source.parameters, encoder=order.encoder(video, source.parameters))
    source.words.put_on(track.stream)
    return FileSound(source, track, timing=timing)


def _check_copy(source: FileTrack, video: Path) -> None:
    container, _ = container_of(video)
    # Older players know nothing of PCM in MP4.
    is_known = not (container == "mp4" and source.parameters.is_pcm)
    if not is_known or header_of(source.stream, container) is None:
        codecs = " or ".join(SoundOrder.codecs_of(video))
        raise RequestError(
            f"{source.name} of the file is {source.parameters}, which can't be copied into {video.name} (--audio-codec "
            f"copy); have it encoded (--audio-codec {codecs}), or write a file that takes it (--output NAME.mkv)"
        )
